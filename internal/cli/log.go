package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) appLogs() *cobra.Command {
	var f client.LogFilter
	cmd := &cobra.Command{Use: "logs APP", Short: "Print what an app wrote on a server, or Nginx about it", Args: cobra.ExactArgs(1)}
	out := outputFlag(cmd)
	cmd.Flags().StringVar(&f.Server, "server", "", "one of its servers (default the primary)")
	cmd.Flags().StringVar(&f.Source, "source", "app", "app or nginx")
	cmd.Flags().IntVar(&f.Lines, "lines", 200, "how many of the last ones, 1 to 1000")
	follow := cmd.Flags().Bool("follow", false, "go on with each line that is written, for at most an hour; with -o json one object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.Source != "app" && f.Source != "nginx" {
			return usagef("--source: must be app or nginx")
		}
		if f.Lines < 1 || f.Lines > 1000 {
			return usagef("--lines: must be 1 to 1000")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if *follow {
			return c.FollowAppLog(cmd.Context(), args[0], f, func(l client.LogLine) { sh.logOf(*out, l) })
		}
		log, err := c.AppLog(cmd.Context(), args[0], f)
		if err != nil {
			return err
		}
		if *out == "json" {
			return writeJSON(sh.Out, log)
		}
		for _, l := range log.Items {
			sh.logOf(*out, l)
		}
		return nil
	}
	return cmd
}

// logOf prints one line of an app's log.
func (sh *shell) logOf(f format, l client.LogLine) {
	line := clean(fmt.Sprintf("%s %s %s", stamp(l.Time), or(l.From), l.Text))
	if raw, err := json.Marshal(l); f == "json" && err == nil {
		line = string(raw)
	}
	fmt.Fprintln(sh.Out, line)
}
