package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/dotenv"
)

const maxImport = 12 << 20 // bytes of a file of variables, as much as the panel takes at once

func (sh *shell) env() *cobra.Command {
	return group("env", "Environment variables of apps", sh.envSet(), sh.envImport(), sh.envUnset(), sh.envList(), sh.envApply())
}

func (sh *shell) envSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set APP NAME=VALUE…", Short: "Record variables, byte for byte", Args: cobra.MinimumNArgs(2),
		Long: "Record variables, byte for byte. They are in force after env apply or the next deployment.\n" +
			"Words of a command show in the process list of this machine: give secrets with env import APP - instead.",
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := pairs("env set", args[1:])
		if err != nil {
			return err
		}
		return sh.record(cmd, args[0], values)
	}
	return cmd
}

func (sh *shell) envImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import APP FILE", Short: "Record the variables of a .env file (- for standard input)", Args: cobra.ExactArgs(2),
		Long: "Record the variables of a .env file (- for standard input). A line is NAME=VALUE, with or without export in front;\n" +
			"empty lines and lines that begin with # are skipped. Unquoted values end at the end of the line or before \" #\", blanks around them are\n" +
			"dropped. 'single' quotes keep everything as it is, also over lines; \"double\" quotes know \\n \\r \\t \\\\ \\\" and \\$. Nothing is expanded: $ is a $.",
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text, err := sh.importText(args[1])
		if err != nil {
			return err
		}
		values, err := dotenv.Parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", fileName(args[1]), err)
		}
		if len(values) == 0 {
			return fmt.Errorf("%s: holds no variable", fileName(args[1]))
		}
		return sh.record(cmd, args[0], values)
	}
	return cmd
}

func fileName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

func (sh *shell) importText(path string) (string, error) {
	var from io.Reader = sh.lines
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read variables: %w", err)
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxImport+1))
	if err != nil {
		return "", fmt.Errorf("read variables: %w", err)
	}
	if len(raw) > maxImport {
		return "", fmt.Errorf("read variables: %s is larger than 12 MiB", path)
	}
	return string(raw), nil
}

func (sh *shell) record(cmd *cobra.Command, app string, values map[string]string) error {
	c, err := sh.panel()
	if err != nil {
		return err
	}
	if err := c.SetVariables(cmd.Context(), app, values); err != nil {
		return err
	}
	sh.say("recorded %d; put in force with: serverplane env apply %s", len(values), app)
	return nil
}

func (sh *shell) envUnset() *cobra.Command {
	cmd := &cobra.Command{Use: "unset APP NAME…", Short: "Take variables out", Args: cobra.MinimumNArgs(2)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if err := c.UnsetVariables(cmd.Context(), args[0], args[1:]); err != nil {
			return err
		}
		sh.say("taken out; put in force with: serverplane env apply %s", args[0])
		return nil
	}
	return cmd
}

func (sh *shell) envList() *cobra.Command {
	cmd := &cobra.Command{Use: "list APP", Short: "List variables, without their values", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	reveal := cmd.Flags().Bool("reveal", false, "with their values")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if *reveal {
			list, err := c.RevealVariables(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return sh.show(*f, list, rows("NAME LENGTH UPDATED VALUE", list.Items, variableRow))
		}
		list, err := c.Variables(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("NAME LENGTH UPDATED", list.Items, variableRow))
	}
	return cmd
}

func variableRow(v client.Variable) []string {
	when := stamp(v.UpdatedAt)
	if v.Computed != "" {
		when = "computed"
	}
	row := []string{v.Name, strconv.Itoa(v.Length), when}
	if v.Value != nil {
		row = append(row, strconv.Quote(*v.Value))
	}
	return row
}

func (sh *shell) envApply() *cobra.Command {
	cmd := &cobra.Command{Use: "apply APP", Short: "Put the recorded variables in force: the live commit is started with them", Args: cobra.ExactArgs(1)}
	wait, w := waitFlag(cmd), consentFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := c.ApplyVariables(cmd.Context(), args[0], *w)
		if err != nil {
			return err
		}
		if work.Run == nil {
			sh.say("nothing changed: the recorded variables are in force")
			return nil
		}
		return sh.begun(cmd.Context(), c, *work.Run, *wait)
	}
	return cmd
}
