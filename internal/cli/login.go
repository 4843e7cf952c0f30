package cli

import (
	"os"

	"github.com/spf13/cobra"
)

func (sh *shell) login() *cobra.Command {
	var token string
	cmd := &cobra.Command{
		Use: "login URL", Short: "Remember a panel and a token for it", Args: cobra.ExactArgs(1),
		Example: "serverplane login https://panel.example.com --token spt_…",
	}
	cmd.Flags().StringVar(&token, "token", "", "made with serverplane admin create-token (or SERVERPLANE_TOKEN)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if token == "" {
			token = os.Getenv("SERVERPLANE_TOKEN")
		}
		if token == "" {
			return &usageError{text: "a token is needed", hint: "add --token, or set SERVERPLANE_TOKEN"}
		}
		s := session{URL: args[0], Token: token}
		c, err := sh.dial(s)
		if err != nil {
			return err
		}
		if !c.Private() {
			sh.say("warning: %s is not protected by TLS: whoever sees the traffic sees the token", s.URL)
		}
		if _, err := c.PanelKey(cmd.Context()); err != nil {
			return err
		}
		if err := s.save(); err != nil {
			return err
		}
		sh.say("signed in to %s", s.URL)
		return nil
	}
	return cmd
}
