package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/internal/config"
)

func (sh *shell) serve() *cobra.Command {
	cfg, envErr := config.FromEnv(os.LookupEnv)
	cmd := &cobra.Command{Use: "serve", Short: "Run the panel", Args: cobra.NoArgs}
	cfg.ServeFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkConfig(cfg, envErr); err != nil {
			return err
		}
		return sh.app.Serve(cmd.Context(), cfg)
	}
	return cmd
}

func checkConfig(cfg config.Config, envErr error) error {
	if envErr != nil {
		return usagef("%s", envErr)
	}
	if err := cfg.Validate(); err != nil {
		return usagef("%s", err)
	}
	return nil
}
