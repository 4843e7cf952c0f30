package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) user() *cobra.Command {
	return group("user", "Who may sign in", sh.userList(), sh.userCreate(), sh.userSet(), sh.userRemove())
}

func (sh *shell) userList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List who may sign in", Args: cobra.NoArgs}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Users(cmd.Context())
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("EMAIL ROLE SINCE", list.Items, func(u client.User) []string {
			return []string{u.Email, u.Role, stamp(u.CreatedAt)}
		}))
	}
	return cmd
}

func (sh *shell) userCreate() *cobra.Command {
	var w client.UserWish
	cmd := &cobra.Command{Use: "create EMAIL", Short: "Make a person who may sign in", Args: cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&w.Role, "role", "", "owner, admin or viewer")
	fromStdin := cmd.Flags().Bool("password-stdin", false, "read the first password from standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if w.Role == "" || !*fromStdin {
			return usagef("user create needs --role and --password-stdin")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		w.Email = args[0]
		if w.Password, err = sh.line("the password"); err != nil {
			return err
		}
		if _, err := c.CreateUser(cmd.Context(), w); err != nil {
			return err
		}
		sh.say("%s may sign in as %s", w.Email, w.Role)
		return nil
	}
	return cmd
}

func (sh *shell) userSet() *cobra.Command {
	var w client.UserChange
	cmd := &cobra.Command{Use: "set EMAIL", Short: "Give a person another role, from their next request on", Args: cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&w.Role, "role", "", "owner, admin or viewer")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if w.Role == "" {
			return usagef("user set needs --role")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		u, err := personOf(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		return c.ChangeUser(cmd.Context(), u.ID, w)
	}
	return cmd
}

func (sh *shell) userRemove() *cobra.Command {
	cmd := &cobra.Command{Use: "remove EMAIL", Short: "Forget a person; their sessions and tokens end at once", Args: cobra.ExactArgs(1)}
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if err := sh.consent(*yes, fmt.Sprintf("removing %s and ending their sessions and tokens", args[0]), args[0]); err != nil {
			return err
		}
		u, err := personOf(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		return c.RemoveUser(cmd.Context(), u.ID)
	}
	return cmd
}

func personOf(ctx context.Context, c *client.Client, email string) (client.User, error) {
	list, err := c.Users(ctx)
	if err != nil {
		return client.User{}, err
	}
	for _, u := range list.Items {
		if u.Email == email {
			return u, nil
		}
	}
	return client.User{}, &client.Error{Status: 404, Code: "not_found", Message: fmt.Sprintf("no user named %q", email), Hint: "serverplane user list"}
}

func (sh *shell) token() *cobra.Command {
	return group("token", "Your own API tokens", sh.tokenList(), sh.tokenCreate(), sh.tokenRevoke())
}

func (sh *shell) tokenList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List your tokens", Args: cobra.NoArgs}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("ID NAME MADE USED", list.Items, func(k client.Token) []string {
			return []string{k.ID, or(k.Name), stamp(k.CreatedAt), stamp(k.UsedAt)}
		}))
	}
	return cmd
}

func (sh *shell) tokenCreate() *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME", Short: "Make a token of your own and print it, once", Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		made, err := c.CreateToken(cmd.Context(), client.TokenWish{Name: args[0]})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(sh.Out, made.Token)
		return err
	}
	return cmd
}

func (sh *shell) tokenRevoke() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "End a token of your own", Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		return c.RevokeToken(cmd.Context(), args[0])
	}
	return cmd
}
