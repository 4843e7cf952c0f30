package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

// processes is what the commands of processes and of cron entries share.
type processes struct {
	*shell
	noun   string
	set    func(ctx context.Context, c *client.Client, app, name string, w client.ProcessWish) (client.MaybeWork, error)
	list   func(ctx context.Context, c *client.Client, app string) (client.List[client.Process], error)
	move   func(ctx context.Context, c *client.Client, app, name string, m client.ProcessMove) (client.MaybeWork, error)
	remove func(ctx context.Context, c *client.Client, app, name string) (client.MaybeWork, error)
}

func (sh *shell) process() *cobra.Command {
	p := processes{
		shell: sh, noun: "process",
		set: func(ctx context.Context, c *client.Client, app, name string, w client.ProcessWish) (client.MaybeWork, error) {
			return c.SetProcess(ctx, app, name, w)
		},
		list: func(ctx context.Context, c *client.Client, app string) (client.List[client.Process], error) {
			return c.Processes(ctx, app)
		},
		move: func(ctx context.Context, c *client.Client, app, name string, m client.ProcessMove) (client.MaybeWork, error) {
			return c.MoveProcess(ctx, app, name, m)
		},
		remove: func(ctx context.Context, c *client.Client, app, name string) (client.MaybeWork, error) {
			return c.RemoveProcess(ctx, app, name)
		},
	}
	return group("process", "Processes of apps beside what serves visitors: queue workers and the like", p.setCommand(), p.listCommand(processRows), p.moveCommand(), p.removeCommand())
}

func (p processes) setCommand() *cobra.Command {
	var w client.ProcessWish
	var stop time.Duration
	cmd := &cobra.Command{
		Use: "set APP NAME", Short: "Make or change a " + p.noun, Args: cobra.ExactArgs(2),
		Long: "Make or change a " + p.noun + ". It runs in the folder of the live release with the app's variables.\n" +
			"--on one runs it on one backend only, its owner: the primary until it is moved. --on all runs it on every backend.",
	}
	wait := waitFlag(cmd)
	cmd.Flags().StringVar(&w.Command, "command", "", "the shell line to run")
	cmd.Flags().StringVar(&w.On, "on", "", "one or all")
	cmd.Flags().DurationVar(&stop, "stop", time.Minute, "how long it may finish what it is at when it is stopped")
	needed := []string{"command", "on"}
	if p.noun == "process" {
		cmd.Flags().IntVar(&w.Count, "count", 1, "how many on each backend it runs on")
	} else {
		cmd.Flags().StringVar(&w.Schedule, "schedule", "", `when: minute hour day-of-month month day-of-week, for example "*/5 * * * *"`)
		needed = append(needed, "schedule")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, flag := range needed {
			if !cmd.Flags().Changed(flag) {
				return usagef("%s set needs --%s", strings.TrimSuffix(p.noun, " entry"), flag)
			}
		}
		if w.On != "one" && w.On != "all" {
			return usagef("--on: must be one or all")
		}
		c, err := p.panel()
		if err != nil {
			return err
		}
		w.Stop = client.Duration(stop)
		work, err := p.set(cmd.Context(), c, args[0], args[1], w)
		return p.arranged(cmd.Context(), c, work, err, *wait, "recorded; the first deployment starts it")
	}
	return cmd
}

// arranged ends a command that may have queued a Run.
func (p processes) arranged(ctx context.Context, c *client.Client, work client.MaybeWork, err error, wait bool, otherwise string) error {
	switch {
	case err != nil:
		return err
	case work.Run == nil:
		p.say("%s", otherwise)
		return nil
	}
	return p.begun(ctx, c, *work.Run, wait)
}

func (p processes) listCommand(table func([]client.Process) [][]string) *cobra.Command {
	cmd := &cobra.Command{Use: "list APP", Short: "List them, and how each was last seen on its servers", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	check := cmd.Flags().Bool("check", false, "look at the servers first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.panel()
		if err != nil {
			return err
		}
		if *check {
			if err := c.CheckProcesses(cmd.Context(), args[0]); err != nil {
				return err
			}
		}
		list, err := p.list(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		return p.show(*f, list, table(list.Items))
	}
	return cmd
}

// processRows is one row for each server a process belongs on.
func processRows(items []client.Process) [][]string {
	return stateRows("NAME ON COUNT SERVER STATE SINCE RELEASE COMMAND REASON", items, func(p client.Process, s client.ProcessState) []string {
		return []string{p.Name, placed(p), strconv.Itoa(p.Count), or(s.Server), or(s.State), stamp(s.Since), release(s), or(p.Command), or(s.Reason)}
	})
}

func stateRows(head string, items []client.Process, row func(p client.Process, s client.ProcessState) []string) [][]string {
	out := [][]string{strings.Fields(head)}
	for _, p := range items {
		states := p.States
		if len(states) == 0 {
			states = []client.ProcessState{{}}
		}
		for _, s := range states {
			out = append(out, row(p, s))
		}
	}
	return out
}

func placed(p client.Process) string {
	switch {
	case p.Removing:
		return "removing"
	case p.Owner != "":
		return "one (" + p.Owner + ")"
	}
	return p.On
}

func release(s client.ProcessState) string {
	if s.Behind {
		return s.Release + " (not what is live)"
	}
	return or(s.Release)
}

func (p processes) moveCommand() *cobra.Command {
	word := strings.TrimSuffix(p.noun, " entry")
	cmd := &cobra.Command{
		Use: "move APP NAME SERVER", Short: "Make another backend the owner of what runs on one", Args: cobra.ExactArgs(3),
		Long: "Make another backend the owner of a " + p.noun + " that runs on one. It is stopped on its owner, that is proven, and then it is\n" +
			"started on SERVER. An owner that cannot be reached may still run it, so nothing moves then; --anyway moves it all the same once\n" +
			"you have made sure that the old server is off. Should that come back, it is stopped there first thing.",
	}
	wait := waitFlag(cmd)
	anyway := cmd.Flags().Bool("anyway", false, "even if the owner cannot be reached: you say that it is off")
	confirm := cmd.Flags().String("confirm", "", "with --anyway: the name of the owner that is off, instead of being asked")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.panel()
		if err != nil {
			return err
		}
		m := client.ProcessMove{Server: args[2], Anyway: *anyway, Confirm: *confirm}
		if m.Anyway && m.Confirm == "" {
			if m.Confirm, err = p.confirmOff(cmd.Context(), c, word, args[0], args[1]); err != nil {
				return err
			}
		}
		work, err := p.move(cmd.Context(), c, args[0], args[1], m)
		return p.arranged(cmd.Context(), c, work, err, *wait, "recorded; the first deployment starts it there")
	}
	return cmd
}

// confirmOff asks a person to type the name of the server that is off.
func (p processes) confirmOff(ctx context.Context, c *client.Client, word, app, name string) (string, error) {
	list, err := p.list(ctx, c, app)
	if err != nil {
		return "", err
	}
	for _, o := range list.Items {
		if o.Name != name || o.Owner == "" {
			continue
		}
		if !p.IsTerminal {
			return "", &usageError{text: word + " move --anyway needs your word that " + o.Owner + " is off", hint: "add --confirm " + o.Owner}
		}
		what := fmt.Sprintf("%s, which would run twice if %s is not off: make sure that it is", name, o.Owner)
		return o.Owner, p.consent(false, what, o.Owner)
	}
	return "", nil // the panel says what is wrong
}

func (p processes) removeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove APP NAME", Short: "Stop it and take it away from every server", Args: cobra.ExactArgs(2)}
	wait := waitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.panel()
		if err != nil {
			return err
		}
		work, err := p.remove(cmd.Context(), c, args[0], args[1])
		return p.arranged(cmd.Context(), c, work, err, *wait, "removed; it had not run yet")
	}
	return cmd
}
