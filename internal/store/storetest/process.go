package storetest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func process(name, appID string) plane.Process {
	return plane.Process{
		ID: "prc_" + name + appID, AppID: appID, Name: name, Kind: plane.Worker, Command: "node 'worker.js' \"$X\"", On: plane.OnOne, Count: 2,
		Stop: plane.Duration(90 * time.Second), OwnerID: "srv_s1", HolderID: "srv_s2", CreatedAt: day, ChangedAt: day.Add(time.Second),
	}
}

func createProcess(p plane.Process) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.CreateProcess(ctx, p) }
}

func (k kit) processes(appID string) []plane.Process {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Process, error) { return tx.Processes(ctx, appID) })
}

func processes(k kit) {
	k.site()
	k.write(createApp(app("shop", "srv_s2")))
	mail, shop := process("mail", "app_web"), process("mail", "app_shop")
	tick := process("a-tick", "app_web")
	tick.Kind, tick.Schedule, tick.Count, tick.On, tick.OwnerID, tick.HolderID = plane.Cron, "*/5 * * * *", 0, plane.OnAll, "", ""
	for _, p := range []plane.Process{mail, shop, tick} {
		k.write(createProcess(p))
	}
	same(k, "by name", k.processes("app_web"), []plane.Process{tick, mail})
	same(k, "of all apps", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Process, error) { return tx.AllProcesses(ctx) }),
		[]plane.Process{tick, shop, mail})
	k.refuse(plane.CodeConflict, `process "mail" exists already`, createProcess(func() plane.Process { p := mail; p.ID = "prc_again"; return p }()))

	mail.Command, mail.On, mail.OwnerID, mail.HolderID, mail.Count, mail.Removing = "other", plane.OnAll, "", "", 20, true
	mail.Stop, mail.ChangedAt = plane.Duration(time.Second), day.Add(time.Hour)
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateProcess(ctx, mail) })
	same(k, "updated", get(k, func(ctx context.Context, tx *store.Tx) (plane.Process, error) {
		return tx.Process(ctx, "app_web", "mail")
	}), mail)

	for want := range int64(3) {
		k.write(func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.NextProcessGeneration(ctx, "app_web")
			same(k, "generation", got, want+1)
			return err
		})
	}
	k.missing(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.NextProcessGeneration(ctx, "app_none")
		return err
	})
	gone := func(ctx context.Context, tx *store.Tx) error { return tx.DeleteProcess(ctx, mail.ID) }
	k.write(gone)
	k.missing(gone)
	k.missing(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateProcess(ctx, mail) })
	k.missing(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Process(ctx, "app_web", "mail")
		return err
	})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteApp(ctx, "app_web") })
	same(k, "gone with the app", len(k.processes("app_web")), 0)
	same(k, "of the other", k.processes("app_shop"), []plane.Process{shop})
}

func processRules(k kit) {
	k.site()
	for what, spoil := range map[string]func(*plane.Process){
		"kind":                 func(p *plane.Process) { p.Kind = "daemon" },
		"placement":            func(p *plane.Process) { p.On = "some" },
		"one without an owner": func(p *plane.Process) { p.OwnerID = "" },
		"all with an owner":    func(p *plane.Process) { p.On = plane.OnAll },
		"cron without a time":  func(p *plane.Process) { p.Kind, p.Count = plane.Cron, 0 },
		"a worker with a time": func(p *plane.Process) { p.Schedule = "@daily" },
		"no instance":          func(p *plane.Process) { p.Count = 0 },
		"too many":             func(p *plane.Process) { p.Count = 21 },
		"no app":               func(p *plane.Process) { p.AppID = "app_none" },
	} {
		p := process("mail", "app_web")
		spoil(&p)
		k.broken(what, createProcess(p))
	}
}

func processStates(k kit) {
	k.site()
	k.write(createApp(app("shop", "srv_s1")))
	on, other := backend("web", "s2", false), backend("shop", "s2", false)
	k.write(createBackend(on))
	k.write(createBackend(other))
	mail, shop := process("mail", "app_web"), process("mail", "app_shop")
	k.write(createProcess(mail))
	k.write(createProcess(shop))
	states := func(appID string) []plane.ProcessStatus {
		return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.ProcessStatus, error) {
			return tx.ProcessStatuses(ctx, appID)
		})
	}
	set := func(s plane.ProcessStatus) {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetProcessStatus(ctx, s) })
	}
	s := plane.ProcessStatus{
		ProcessID: mail.ID, ServerID: "srv_s1", State: plane.ProcessFailed, Since: day, CheckedAt: day.Add(time.Second), Reason: "exited with status 1",
		Answer: "activating", Release: "20260301120000-abcdef0", Lines: "no\x00 such\xff file\nline two",
	}
	set(s)
	s.Lines = "no\uFFFD such\uFFFD file\nline two"
	same(k, "as stored", states("app_web"), []plane.ProcessStatus{s})
	s.State, s.Lines, s.Stray = plane.ProcessUnknown, "", true
	set(s)
	same(k, "stored again", states("app_web"), []plane.ProcessStatus{s})
	there := plane.ProcessStatus{ProcessID: mail.ID, ServerID: "srv_s2", State: plane.ProcessRunning, Since: day}
	set(there)
	theirs := plane.ProcessStatus{ProcessID: shop.ID, ServerID: "srv_s2", State: plane.ProcessWaiting, Since: day}
	set(theirs)
	same(k, "strays", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.ProcessStatus, error) { return tx.StrayProcesses(ctx) }),
		[]plane.ProcessStatus{s})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, on.ID) })
	same(k, "gone with the backend", states("app_web"), []plane.ProcessStatus{s})
	same(k, "the other app's stays", states("app_shop"), []plane.ProcessStatus{theirs})
	for range 2 {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.ForgetProcessStatus(ctx, mail.ID, "srv_s1") })
	}
	same(k, "forgotten", len(states("app_web")), 0)
	k.broken("a state of no process", func(ctx context.Context, tx *store.Tx) error {
		return tx.SetProcessStatus(ctx, plane.ProcessStatus{ProcessID: "prc_none", ServerID: "srv_s1", State: plane.ProcessRunning})
	})
	bad := there
	bad.State = "idle"
	k.broken("no such state", func(ctx context.Context, tx *store.Tx) error { return tx.SetProcessStatus(ctx, bad) })
}
