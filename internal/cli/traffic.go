package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

// steered ends a command about traffic: in force, or wished and why not yet. The
// Run that goes on with it is followed, if asked, or named.
func (sh *shell) steered(ctx context.Context, c *client.Client, s client.Steered, what string, wait bool) error {
	switch {
	case s.InForce:
		sh.say("%s; in force", what)
		return nil
	case s.Run == nil:
		return fmt.Errorf("%s: not in force: %s", what, or(s.Reason))
	case wait:
		sh.say("%s: wished, not in force yet: %s", what, or(s.Reason))
		return sh.begun(ctx, c, *s.Run, true)
	}
	fmt.Fprintln(sh.Out, s.Run.ID)
	return fmt.Errorf("%s: wished, not in force yet: %s; %s goes on with it (serverplane run log %s --follow)", what, or(s.Reason), s.Run.ID, s.Run.ID)
}

// surely does what may need a person's consent. Only the panel knows whether it
// does: it refuses at the field "yes" then. The person is asked, and where there
// is none, it is a usage error that names --yes.
func (sh *shell) surely(yes bool, name string, do func(yes bool) error) error {
	err := do(yes)
	refused, is := errors.AsType[*client.Error](err)
	if yes || !is || refused.Field != "yes" {
		return err
	}
	if !sh.IsTerminal {
		return &usageError{text: refused.Message, hint: refused.Hint}
	}
	if err := sh.consent(false, "visitors: "+refused.Message, name); err != nil {
		return err
	}
	return do(true)
}

func sureFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("yes", false, "even if it is the last healthy one")
}

// steering is a command about one backend's traffic.
func (sh *shell) steering(use, short string, do func(ctx context.Context, c *client.Client, app, server string) (client.Steered, string, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use + " APP SERVER", Short: short, Args: cobra.ExactArgs(2)}
	wait := cmd.Flags().Bool("wait", false, "if it is not in force in time, follow the Run that goes on with it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		done, what, err := do(cmd.Context(), c, args[0], args[1])
		if err != nil {
			return err
		}
		return sh.steered(cmd.Context(), c, done, what, *wait)
	}
	return cmd
}

func (sh *shell) backendOff() *cobra.Command {
	var yes *bool
	cmd := sh.steering("off", "Keep visitors from a backend; it stays deployed", func(ctx context.Context, c *client.Client, app, server string) (done client.Steered, what string, err error) {
		err = sh.surely(*yes, server, func(yes bool) (err error) {
			done, err = c.SwitchBackendOff(ctx, app, server, client.BackendOff{Yes: yes})
			return err
		})
		return done, server + " is off for " + app, err
	})
	yes = sureFlag(cmd)
	return cmd
}

func (sh *shell) backendOn() *cobra.Command {
	return sh.steering("on", "Let visitors reach a backend again; one that is behind catches up first", func(ctx context.Context, c *client.Client, app, server string) (client.Steered, string, error) {
		done, err := c.SwitchBackendOn(ctx, app, server)
		return done, server + " is on for " + app, err
	})
}

func (sh *shell) backendSet() *cobra.Command {
	var weight int
	var backup bool
	var yes *bool
	var cmd *cobra.Command
	cmd = sh.steering("set", "Change a backend's share of visitors", func(ctx context.Context, c *client.Client, app, server string) (done client.Steered, what string, err error) {
		if !anyChanged(cmd, "weight", "backup") {
			return done, "", usagef("say what to change: --weight N, --backup, --backup=false")
		}
		if weight < 1 || weight > 100 {
			return done, "", usagef("--weight: must be 1 to 100")
		}
		ch := client.BackendChange{Weight: given(cmd, "weight", &weight), Backup: given(cmd, "backup", &backup)}
		err = sh.surely(*yes, server, func(yes bool) (err error) {
			ch.Yes = yes
			done, err = c.SetBackend(ctx, app, server, ch)
			return err
		})
		return done, server + " is changed for " + app, err
	})
	cmd.Flags().IntVar(&weight, "weight", 1, "1 to 100: its share of visitors")
	cmd.Flags().BoolVar(&backup, "backup", false, "gets visitors only when no other backend serves; --backup=false ends that")
	yes = sureFlag(cmd)
	return cmd
}

// given is nil for a flag that was not used, so that it changes nothing.
func given[T any](cmd *cobra.Command, flag string, value *T) *T {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return value
}

func anyChanged(cmd *cobra.Command, flags ...string) bool {
	for _, f := range flags {
		if cmd.Flags().Changed(f) {
			return true
		}
	}
	return false
}

func (sh *shell) backendCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check APP SERVER", Short: "Ask a backend once, now, from the entry's place", Args: cobra.ExactArgs(2)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		p, err := c.CheckBackend(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		err = sh.show(*f, p, [][]string{
			{"verdict", p.Verdict}, {"reason", p.Reason}, {"answer", p.Answer}, {"from", p.Vantage},
			{"latency", time.Duration(p.Latency).Round(10 * time.Microsecond).String()}, {"at", stamp(p.At)},
		})
		if err != nil || p.Verdict == "pass" {
			return err
		}
		return fmt.Errorf("%s of %s: %s", args[1], args[0], p.Reason)
	}
	return cmd
}

func (sh *shell) backendRepair() *cobra.Command {
	cmd := &cobra.Command{Use: "repair APP SERVER", Short: "Bring a backend to exactly what is live", Args: cobra.ExactArgs(2)}
	wait := waitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := c.RepairBackend(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func (sh *shell) backendRemove() *cobra.Command {
	var r client.BackendRemoval
	cmd := &cobra.Command{Use: "remove APP SERVER", Short: "Take a backend away from an app, or go on with that", Args: cobra.ExactArgs(2)}
	wait := waitFlag(cmd)
	cmd.Flags().BoolVar(&r.Discard, "discard", false, "do not pack the files that exist nowhere else")
	yes := sureFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		var work client.Work
		err = sh.surely(*yes, args[1], func(yes bool) (err error) {
			r.Yes = yes
			work, err = c.RemoveBackend(cmd.Context(), args[0], args[1], r)
			return err
		})
		if err != nil {
			return err
		}
		return sh.withReceipt(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

// withReceipt follows a Run that leaves a receipt and prints it, however the Run ended.
func (sh *shell) withReceipt(ctx context.Context, c *client.Client, r client.Run, wait bool) error {
	ended := sh.begun(ctx, c, r, wait)
	if !wait || ctx.Err() != nil {
		return ended
	}
	end, err := c.Run(ctx, r.ID)
	if err != nil {
		return errors.Join(ended, err)
	}
	for _, line := range end.Receipt {
		sh.say("%s", receiptLine(line))
	}
	return ended
}

func receiptLine(l client.ReceiptLine) string {
	state := "left"
	if l.Done {
		state = "done"
	}
	text := fmt.Sprintf("%s  %s  %s", state, l.Server, l.What)
	if l.Detail != "" {
		text += " (" + l.Detail + ")"
	}
	return text
}

func (sh *shell) balancerSet() *cobra.Command {
	var method, path string
	var interval, timeout time.Duration
	var fall, rise, floor int
	var takeOut, nameHeader bool
	cmd := &cobra.Command{Use: "set APP", Short: "Change method and health check", Args: cobra.ExactArgs(1)}
	wait := cmd.Flags().Bool("wait", false, "if it is not in force in time, follow the Run that goes on with it")
	cmd.Flags().StringVar(&method, "method", "", "round-robin, least-connections or ip-hash")
	cmd.Flags().StringVar(&path, "health-path", "/", "what backends are asked for")
	cmd.Flags().DurationVar(&interval, "interval", 10*time.Second, "1s to 5m between two questions")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "limit of one question, at most the interval")
	cmd.Flags().IntVar(&fall, "fall", 2, "1 to 10 failures in a row to become unhealthy")
	cmd.Flags().IntVar(&rise, "rise", 2, "1 to 10 passes in a row to become healthy")
	cmd.Flags().BoolVar(&takeOut, "take-out", false, "keep unhealthy backends out of the upstream by itself")
	cmd.Flags().BoolVar(&nameHeader, "name-header", false, "let answers name the backend that gave them, in X-Served-By; --name-header=false ends that")
	cmd.Flags().IntVar(&floor, "floor", 1, "how many serving backends automatic take-out leaves in")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !anyChanged(cmd, "method", "health-path", "interval", "timeout", "fall", "rise", "take-out", "floor", "name-header") {
			return usagef("say what to change, for example --method least-connections; see lb set --help")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		done, err := c.SetBalancer(cmd.Context(), args[0], client.BalancerChange{
			Method: given(cmd, "method", &method), HealthPath: given(cmd, "health-path", &path),
			Interval: (*client.Duration)(given(cmd, "interval", &interval)), Timeout: (*client.Duration)(given(cmd, "timeout", &timeout)),
			Fall: given(cmd, "fall", &fall), Rise: given(cmd, "rise", &rise),
			TakeOut: given(cmd, "take-out", &takeOut), Floor: given(cmd, "floor", &floor),
			NameHeader: given(cmd, "name-header", &nameHeader),
		})
		if err != nil {
			return err
		}
		return sh.steered(cmd.Context(), c, done, "load balancer of "+args[0]+" is changed", *wait)
	}
	return cmd
}

func (sh *shell) balancerPreview() *cobra.Command {
	cmd := &cobra.Command{Use: "preview APP", Short: "Print the entry's Nginx file as wished, or with another method", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	method := cmd.Flags().String("method", "", "as it would be with this one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		p, err := c.PreviewBalancer(cmd.Context(), args[0], *method)
		if err != nil {
			return err
		}
		if *f == "json" {
			return sh.show(*f, p, nil)
		}
		_, err = fmt.Fprint(sh.Out, clean(fmt.Sprintf("# /etc/nginx/%s\n%s", p.Path, p.Text)))
		return err
	}
	return cmd
}

func (sh *shell) balancerDisable() *cobra.Command {
	var w client.DisableWish
	cmd := &cobra.Command{Use: "disable APP", Short: "Move all traffic to the primary", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	cmd.Flags().BoolVar(&w.RemoveBackends, "remove-backends", false, "and remove the other backends; without it they stay deployed and off")
	cmd.Flags().BoolVar(&w.Discard, "discard", false, "with --remove-backends: do not pack the files that exist nowhere else")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if w.Discard && !w.RemoveBackends {
			return usagef("--discard goes with --remove-backends")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := c.DisableBalancer(cmd.Context(), args[0], w)
		if err != nil {
			return err
		}
		return sh.withReceipt(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func takeOutLine(h client.HealthCheck) string {
	if !h.TakeOut {
		return "off"
	}
	return "on, but at least " + strconv.Itoa(h.Floor) + " stay in"
}

func pendingLine(lb client.LoadBalancer) string {
	if !lb.Pending {
		return "in force"
	}
	return "wished, not in force yet: " + or(lb.PendingReason)
}
