package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) cron() *cobra.Command {
	p := processes{
		shell: sh, noun: "cron entry",
		set: func(ctx context.Context, c *client.Client, app, name string, w client.ProcessWish) (client.MaybeWork, error) {
			return c.SetCron(ctx, app, name, w)
		},
		list: func(ctx context.Context, c *client.Client, app string) (client.List[client.Process], error) {
			return c.Crons(ctx, app)
		},
		move: func(ctx context.Context, c *client.Client, app, name string, m client.ProcessMove) (client.MaybeWork, error) {
			return c.MoveCron(ctx, app, name, m)
		},
		remove: func(ctx context.Context, c *client.Client, app, name string) (client.MaybeWork, error) {
			return c.RemoveCron(ctx, app, name)
		},
	}
	return group("cron", "Cron entries of apps: commands run by a schedule", p.setCommand(), p.listCommand(cronRows), p.moveCommand(), p.removeCommand())
}

func cronRows(items []client.Process) [][]string {
	return stateRows("NAME SCHEDULE ZONE NEXT ON SERVER STATE SINCE COMMAND REASON", items, func(p client.Process, s client.ProcessState) []string {
		next := time.Time{}
		if p.Next != nil {
			next = *p.Next
		}
		return []string{p.Name, p.Schedule, or(p.Timezone), stamp(next), placed(p), or(s.Server), or(s.State), stamp(s.Since), or(p.Command), or(s.Reason)}
	})
}
