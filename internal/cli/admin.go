package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/internal/config"
)

func (sh *shell) admin() *cobra.Command {
	return group("admin", "On the panel's own machine: make people and tokens", sh.createUser(), sh.createToken())
}

func (sh *shell) createUser() *cobra.Command {
	var email, role string
	var fromStdin bool
	cmd := &cobra.Command{Use: "create-user", Short: "Make a person who may sign in", Args: cobra.NoArgs}
	open := sh.store(cmd)
	cmd.Flags().StringVar(&email, "email", "", "mail address")
	cmd.Flags().StringVar(&role, "role", "", "owner, admin or viewer")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if email == "" || role == "" || !fromStdin {
			return usagef("create-user needs --email, --role and --password-stdin")
		}
		password, err := sh.line("the password")
		if err != nil {
			return err
		}
		return open(cmd.Context(), func(a Admin) error {
			if err := a.CreateUser(cmd.Context(), email, role, password); err != nil {
				return err
			}
			sh.say("%s may sign in as %s", email, role)
			return nil
		})
	}
	return cmd
}

func (sh *shell) createToken() *cobra.Command {
	var email, name string
	cmd := &cobra.Command{Use: "create-token", Short: "Make a token and print it, once", Args: cobra.NoArgs}
	open := sh.store(cmd)
	cmd.Flags().StringVar(&email, "email", "", "whose token")
	cmd.Flags().StringVar(&name, "name", "", "what will use it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if email == "" || name == "" {
			return usagef("create-token needs --email and --name")
		}
		return open(cmd.Context(), func(a Admin) error {
			token, err := a.CreateToken(cmd.Context(), email, name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(sh.Out, token)
			return err
		})
	}
	return cmd
}

// store adds the flags that say where the panel's data is and returns how to
// work on it.
func (sh *shell) store(cmd *cobra.Command) func(context.Context, func(Admin) error) error {
	cfg, envErr := config.FromEnv(os.LookupEnv)
	cfg.StoreFlags(cmd.Flags())
	return func(ctx context.Context, fn func(Admin) error) error {
		if err := checkConfig(cfg, envErr); err != nil {
			return err
		}
		a, err := sh.app.Admin(ctx, cfg)
		if err != nil {
			return err
		}
		return errors.Join(fn(a), a.Close())
	}
}
