package still

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// The processes of Shop: one runs on one server, the other by the clock on all.
const (
	Mailer = "mail"
	Tidier = "tidy"
)

// fillProcesses gives Shop a worker that fails on its owner and a cron entry.
func (f *filler) fillProcesses(ctx context.Context) error {
	shop := f.apps[0]
	backends, err := f.tx.BackendsOf(ctx, shop.ID)
	if err != nil {
		return err
	}
	mail := plane.Process{
		ID: plane.NewID(plane.PrefixProcess), AppID: shop.ID, Name: Mailer, Kind: plane.Worker, Command: f.said("node mail.js --queue orders"), On: plane.OnOne,
		OwnerID: backends[0].ServerID, HolderID: backends[0].ServerID, CreatedAt: f.ago(50 * time.Hour), ChangedAt: f.ago(50 * time.Hour),
	}
	tidy := plane.Process{
		ID: plane.NewID(plane.PrefixProcess), AppID: shop.ID, Name: Tidier, Kind: plane.Cron, Command: f.said("node tidy.js"), On: plane.OnAll, Schedule: "*/5 * * * *",
		CreatedAt: f.ago(40 * time.Hour), ChangedAt: f.ago(40 * time.Hour),
	}
	for _, p := range []plane.Process{mail, tidy} {
		if err := f.tx.CreateProcess(ctx, p.WithDefaults()); err != nil {
			return err
		}
	}
	if err := f.tx.SetProcessStatus(ctx, plane.ProcessStatus{
		ProcessID: mail.ID, ServerID: mail.OwnerID, State: plane.ProcessFailed, Since: f.ago(3 * time.Hour), CheckedAt: f.ago(20 * time.Second),
		Reason: f.said("exited with status 7"), Answer: f.said("failed/failed"), Lines: f.said("mail: cannot reach smtp.example.com"),
	}); err != nil {
		return err
	}
	for k, b := range backends {
		s := plane.ProcessStatus{ProcessID: tidy.ID, ServerID: b.ServerID, State: plane.ProcessWaiting, Since: f.ago(time.Hour), CheckedAt: f.ago(20 * time.Second), Answer: f.said("active/waiting")}
		if k == 3 {
			s.State, s.Reason = plane.ProcessUnknown, f.said("the server cannot be reached")
		}
		if err := f.tx.SetProcessStatus(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
