package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) server() *cobra.Command {
	return group("server", "Servers", sh.serverAdd(), sh.serverList(), sh.serverShow(), sh.serverSurvey(),
		sh.serverProvision(), sh.serverRemove(), sh.serverKey())
}

type serverAddFlags struct {
	wish         client.ServerWish
	key          string
	password     bool
	sudoPassword bool
	accept       bool
}

func (sh *shell) serverAdd() *cobra.Command {
	var f serverAddFlags
	cmd := &cobra.Command{Use: "add NAME", Short: "Look at a server, install the panel's key on it and provision it", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.wish.Name = args[0]
		if err := f.check(); err != nil {
			return err
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if err := sh.serverSecrets(c, &f); err != nil {
			return err
		}
		if err := sh.confirmHostKey(cmd.Context(), c, &f); err != nil {
			return err
		}
		added, err := c.AddServer(cmd.Context(), f.wish)
		if err != nil {
			return err
		}
		sh.say("%s: private address %s, firewall %s", added.Server.Name, added.Server.PrivateAddress, added.Server.Firewall)
		return sh.begun(cmd.Context(), c, added.Run, *wait)
	}
	return cmd
}

func (f *serverAddFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.wish.Address, "address", "", "IP address")
	fs.StringVar(&f.wish.PrivateAddress, "private-address", "", "what other servers use (default: chosen from the survey)")
	fs.IntVar(&f.wish.Port, "port", 22, "SSH port")
	fs.StringVar(&f.wish.User, "user", "root", "user to sign in as, this once")
	fs.StringVar(&f.key, "key", "", "file of a private key to sign in with, this once")
	fs.BoolVar(&f.password, "password-stdin", false, "sign in with the password on standard input, this once")
	fs.BoolVar(&f.sudoPassword, "sudo-password-stdin", false, "read the sudo password from standard input (after the password, on a line of its own)")
	fs.StringVar(&f.wish.HostKey, "host-key", "", "fingerprint the server must show, SHA256:…")
	fs.BoolVar(&f.accept, "accept-host-key", false, "accept whatever host key the server shows")
	fs.StringVar(&f.wish.Firewall, "firewall", "", "manage, keep-open or leave (default: chosen from the survey)")
	fs.BoolVar(&f.wish.Adopt, "adopt", false, "take over a server of another panel")
}

func (f *serverAddFlags) check() error {
	switch {
	case f.wish.Address == "":
		return usagef("server add needs --address")
	case f.key != "" && f.password:
		return usagef("--key and --password-stdin exclude each other")
	case f.wish.HostKey != "" && f.accept:
		return usagef("--host-key and --accept-host-key exclude each other")
	}
	return nil
}

// serverSecrets reads what signs in; it does not travel where others can read.
func (sh *shell) serverSecrets(c *client.Client, f *serverAddFlags) (err error) {
	if (f.key != "" || f.password || f.sudoPassword) && !c.Private() {
		return errors.New("the panel is not reached through TLS: a key or password is not sent that way; use https or an SSH tunnel, or paste the panel's key on the server (serverplane server key)")
	}
	if f.key != "" {
		if f.wish.Key, err = secretFile(f.key); err != nil {
			return err
		}
	}
	if f.password {
		if f.wish.Password, err = sh.line("the password"); err != nil {
			return err
		}
	}
	if f.sudoPassword {
		f.wish.SudoPassword, err = sh.line("the sudo password")
	}
	return err
}

// confirmHostKey shows who the server says it is before anything is sent to it.
func (sh *shell) confirmHostKey(ctx context.Context, c *client.Client, f *serverAddFlags) error {
	if f.wish.HostKey != "" {
		return nil
	}
	key, err := c.HostKey(ctx, client.HostKeyWish{Address: f.wish.Address, Port: f.wish.Port})
	if err != nil {
		return err
	}
	sh.say("%s shows the host key %s (%s)", f.wish.Address, key.Fingerprint, key.Type)
	f.wish.HostKey = key.Fingerprint
	if f.accept {
		return nil
	}
	compare := "on the server: for k in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $k; done"
	if !sh.IsTerminal {
		return &usageError{text: "the host key is not confirmed: compare it (" + compare + ")", hint: "add --host-key " + key.Fingerprint}
	}
	answer, err := sh.ask("Compare it (" + compare + "). Is it the same? yes or no: ")
	if err != nil {
		return err
	}
	if answer != "yes" {
		return fmt.Errorf("nothing was done: %w", errCancelled)
	}
	return nil
}

func (sh *shell) serverList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List servers", Args: cobra.NoArgs}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Servers(cmd.Context())
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("NAME STATE ADDRESS PRIVATE APPS REASON", list.Items, func(s client.Server) []string {
			return []string{s.Name, s.State, s.Address, s.PrivateAddress, or(strings.Join(s.Apps, ",")), or(s.Reason)}
		}))
	}
	return cmd
}

func (sh *shell) serverShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a server", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		s, err := c.Server(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		table := [][]string{
			{"name", s.Name}, {"state", s.State}, {"since", stamp(s.Since)}, {"reason", or(s.Reason)}, {"address", s.Address},
			{"private address", s.PrivateAddress}, {"port", fmt.Sprint(s.Port)}, {"firewall", s.Firewall},
			{"host key", s.HostKey}, {"apps", or(strings.Join(s.Apps, ", "))}, {"nginx", nginxLine(s)},
		}
		return sh.show(*f, s, append(table, surveyRows(s.Survey)...))
	}
	return cmd
}

func (sh *shell) serverSurvey() *cobra.Command {
	cmd := &cobra.Command{Use: "survey NAME", Short: "Look at a server anew; changes nothing there", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		s, err := c.SurveyServer(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.show(*f, s, surveyRows(s))
	}
	return cmd
}

func surveyRows(s client.Survey) [][]string {
	out := [][]string{
		{"surveyed", stamp(s.TakenAt)}, {"system", or(s.OS)}, {"cores", fmt.Sprint(s.Cores)},
		{"memory", fmt.Sprintf("%d MiB, swap %d MiB", s.MemoryMiB, s.SwapMiB)}, {"disk free", fmt.Sprintf("%d MiB", s.DiskFreeMiB)},
		{"clock", fmt.Sprintf("%s off", s.ClockOffset)}, {"addresses", or(strings.Join(s.Addresses, ", "))},
		{"firewall found", or(s.Firewall)}, {"nginx sites", or(strings.Join(s.NginxSites, ", "))},
		{"nginx broken", or(s.NginxBroken)}, {"databases", or(strings.Join(s.Databases, ", "))},
		{"apt locked by", or(s.AptLock)}, {"panel", or(s.Panel)}, {"node", or(s.Node)},
	}
	for _, l := range s.Listening {
		out = append(out, []string{"listening", fmt.Sprintf("%s %s port %d %s", l.Proto, l.Address, l.Port, l.Process)})
	}
	return out
}

func (sh *shell) serverProvision() *cobra.Command {
	cmd := &cobra.Command{Use: "provision NAME", Short: "Provision a server again", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := c.ProvisionServer(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func (sh *shell) serverRemove() *cobra.Command {
	cmd := &cobra.Command{Use: "remove NAME", Short: "Forget a server that carries no app", Args: cobra.ExactArgs(1)}
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	forget := cmd.Flags().Bool("forget", false, "write off what removed backends left on a server nobody can reach")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if err := sh.consent(*yes, "removing the server "+args[0], args[0]); err != nil {
			return err
		}
		if err := c.RemoveServer(cmd.Context(), args[0], *forget); err != nil {
			return err
		}
		sh.say("%s is removed from the panel", args[0])
		return nil
	}
	return cmd
}

func (sh *shell) serverKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Print the panel's public key, to paste on a server", Args: cobra.NoArgs}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		key, err := c.PanelKey(cmd.Context())
		if err != nil {
			return err
		}
		return sh.show(*f, key, [][]string{{key.Key}})
	}
	return cmd
}

// nginxLine says whether Nginx would take a change: a broken file, also one that
// is not ours, is known here before it is in the way.
func nginxLine(s client.Server) string {
	switch {
	case s.NginxCheckedAt.IsZero():
		return "-"
	case s.NginxError == "":
		return "sound, looked at " + stamp(s.NginxCheckedAt)
	}
	return "refuses every change: " + s.NginxError
}
