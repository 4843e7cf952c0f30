package control_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func mail() control.ProcessWish {
	return control.ProcessWish{Command: "node worker.js", On: plane.OnOne}
}

// twoBackends is a live, balanced app on s1 and s2.
func twoBackends(t *testing.T) (*panel, plane.App) {
	t.Helper()
	p := newPanel(t)
	p.ready(1)
	second := p.ready(2)
	p.app("web")
	live := p.live("web")
	p.write(func(ctx context.Context, tx *store.Tx) error {
		a, err := tx.AppByName(ctx, "web")
		if err != nil {
			return err
		}
		a.Balancer.Status = plane.BalancerOn
		if err := tx.SetBalancer(ctx, a.ID, a.Balancer); err != nil {
			return err
		}
		b, err := tx.BackendOf(ctx, a.ID, a.ServerID)
		if err != nil {
			return err
		}
		b.Placed, b.DeploymentID = true, live.ID
		if err := tx.UpdateBackend(ctx, b); err != nil {
			return err
		}
		b.ID, b.ServerID, b.Primary, b.Ports = plane.NewID(plane.PrefixBackend), second.ID, false, plane.Ports{ProcessA: 20011, ProcessB: 20012, SiteA: 20013, SiteB: 20014}
		return tx.CreateBackend(ctx, b)
	})
	var a plane.App
	p.write(func(ctx context.Context, tx *store.Tx) (err error) { a, err = tx.AppByName(ctx, "web"); return err })
	return p, a
}

// held plays the runner: the owner of each process holds it.
func (p *panel) held(a plane.App) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		all, err := tx.Processes(ctx, a.ID)
		for _, o := range all {
			o.HolderID = o.OwnerID
			if err == nil {
				err = tx.UpdateProcess(ctx, o)
			}
		}
		return err
	})
}

func (p *panel) processes(kind plane.ProcessKind) []control.ProcessView {
	p.Helper()
	all, err := p.Processes(p.Context(), ann, kind, "web")
	if err != nil {
		p.Fatal(err)
	}
	return all
}

func TestSetProcess(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	a := p.app("web")
	set := func(kind plane.ProcessKind, app, name string, w control.ProcessWish) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.SetProcess(ctx, ann, kind, app, name, w); return err }
	}
	bad := mail()
	bad.Command = " "
	p.refuses("no command", plane.CodeInvalid, "command", set(plane.Worker, "web", "mail", bad))
	bad = mail()
	bad.Count = 21
	p.refuses("too many", plane.CodeInvalid, "count", set(plane.Worker, "web", "mail", bad))
	p.refuses("a name that would be another unit", plane.CodeInvalid, "name", set(plane.Worker, "web", "a_b", mail()))
	p.refuses("no schedule", plane.CodeInvalid, "schedule", set(plane.Cron, "web", "mail", mail()))
	p.refuses("no app", plane.CodeNotFound, "", set(plane.Worker, "none", "mail", mail()))

	run, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", "mail", mail())
	if err != nil || run != nil {
		t.Fatalf("before the first deployment: %+v, %v", run, err)
	}
	if got := p.processes(plane.Worker); len(got) != 1 || got[0].Owner != "s1" || got[0].Count != 1 || got[0].Stop != plane.DefaultStop || len(got[0].States) != 0 {
		t.Errorf("%+v", got)
	}
	p.refuses("a cron entry of a process's name", plane.CodeConflict, "", set(plane.Cron, "web", "mail", control.ProcessWish{Command: "x", On: plane.OnAll, Schedule: "@daily"}))
	if audit := p.lastAudit(); audit.Action != "process.set" || audit.Subject != "web mail" {
		t.Errorf("%+v", audit)
	}

	p.live("web")
	w := mail()
	w.On, w.Count = plane.OnAll, 3
	run, err = p.SetProcess(t.Context(), ann, plane.Worker, "web", "mail", w)
	if err != nil || run == nil || run.Kind != plane.RunProcesses || run.Locks[0] != plane.AppLock(a.ID) {
		t.Fatalf("%+v, %v", run, err)
	}
	if got := p.processes(plane.Worker)[0]; got.Owner != "" || got.Count != 3 || got.HolderID != "" {
		t.Errorf("%+v", got)
	}
	for n := range plane.MaxProcesses - 1 {
		name := "x" + strings.Repeat("y", n%20) + string(rune('a'+n/20))
		if err := set(plane.Worker, "web", name, mail())(t.Context()); err != nil {
			t.Fatal(name, err)
		}
	}
	p.refuses("one too many", plane.CodeInvalid, "name", set(plane.Worker, "web", "more", mail()))
}

func TestMoveProcess(t *testing.T) {
	p, a := twoBackends(t)
	p.ready(3)
	move := func(name string, w control.MoveWish) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.MoveProcess(ctx, ann, plane.Worker, "web", name, w)
			return err
		}
	}
	for name, on := range map[string]plane.Placement{"mail": plane.OnOne, "all": plane.OnAll} {
		if _, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", name, control.ProcessWish{Command: "x", On: on}); err != nil {
			t.Fatal(err)
		}
	}
	p.held(a)
	p.refuses("no such process", plane.CodeNotFound, "", move("none", control.MoveWish{Server: "s2"}))
	p.refuses("a name no process can have", plane.CodeNotFound, "", move("../x", control.MoveWish{Server: "s2"}))
	p.refuses("one on all", plane.CodeInvalid, "name", move("all", control.MoveWish{Server: "s2"}))
	p.refuses("to its owner", plane.CodeConflict, "", move("mail", control.MoveWish{Server: "s1"}))
	p.refuses("to a server that does not serve it", plane.CodeInvalid, "server", move("mail", control.MoveWish{Server: "s3"}))
	p.refuses("to no server", plane.CodeNotFound, "server", move("mail", control.MoveWish{Server: "s9"}))
	p.refuses("anyway, unconfirmed", plane.CodeInvalid, "confirm", move("mail", control.MoveWish{Server: "s2", Anyway: true}))
	p.refuses("anyway, another confirmed", plane.CodeInvalid, "confirm", move("mail", control.MoveWish{Server: "s2", Anyway: true, Confirm: "s2"}))

	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetServerState(ctx, a.ServerID, plane.ServerUnreachable, "no answer", p.now())
	})
	p.refuses("from an owner that is away", plane.CodeConflict, "", move("mail", control.MoveWish{Server: "s2"}))
	run, err := p.MoveProcess(t.Context(), ann, plane.Worker, "web", "mail", control.MoveWish{Server: "s2", Anyway: true, Confirm: "s1"})
	if err != nil || run == nil || !strings.Contains(string(run.Args), `"anyway":true`) {
		t.Fatalf("%+v, %v", run, err)
	}
	if audit := p.lastAudit(); audit.Action != "process.move" || !strings.Contains(audit.Detail, "is off") {
		t.Errorf("%+v", audit)
	}
	for _, v := range p.processes(plane.Worker) {
		if v.Name == "mail" && (v.Owner != "s2" || v.HolderID != a.ServerID) {
			t.Errorf("%+v", v)
		}
	}
}

func TestAnOwnerIsNotRemovedWithItsBackend(t *testing.T) {
	p, a := twoBackends(t)
	if _, err := p.SetProcess(t.Context(), ann, plane.Cron, "web", "tick", control.ProcessWish{Command: "x", On: plane.OnOne, Schedule: "@hourly"}); err != nil {
		t.Fatal(err)
	}
	p.held(a)
	if _, err := p.MoveProcess(t.Context(), ann, plane.Cron, "web", "tick", control.MoveWish{Server: "s2"}); err != nil {
		t.Fatal(err)
	}
	remove := func(ctx context.Context) error {
		_, err := p.RemoveBackend(ctx, ann, "web", "s2", control.RemoveWish{Yes: true})
		return err
	}
	p.refuses("the backend of an owner", plane.CodeConflict, "", remove)
	p.refuses("all backends, the owner's among them", plane.CodeConflict, "", func(ctx context.Context) error {
		_, err := p.DisableBalancer(ctx, ann, "web", control.DisableWish{RemoveBackends: true})
		return err
	})
	if err := remove(t.Context()); err == nil || !strings.Contains(err.Error(), "owner of tick") {
		t.Errorf("%v", err)
	}
	if _, err := p.RemoveProcess(t.Context(), ann, plane.Cron, "web", "tick"); err != nil {
		t.Fatal(err)
	}
	if got := p.processes(plane.Cron); len(got) != 1 || !got[0].Removing {
		t.Errorf("%+v", got)
	}
}

// What a process wrote may hold what visitors sent: it is for those who may read logs.
func TestLastLinesAreForThoseWhoMayReadLogs(t *testing.T) {
	p, a := twoBackends(t)
	if _, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", "mail", mail()); err != nil {
		t.Fatal(err)
	}
	p.held(a)
	p.write(func(ctx context.Context, tx *store.Tx) error {
		m, err := tx.Process(ctx, a.ID, "mail")
		if err != nil {
			return err
		}
		return tx.SetProcessStatus(ctx, plane.ProcessStatus{ProcessID: m.ID, ServerID: a.ServerID, State: plane.ProcessFailed, Since: day, CheckedAt: day, Lines: "from a visitor"})
	})
	for role, want := range map[plane.Role]string{plane.RoleOwner: "from a visitor", plane.RoleViewer: ""} {
		got, err := p.Processes(t.Context(), plane.Actor{Role: role}, plane.Worker, "web")
		if err != nil || len(got) != 1 || len(got[0].States) != 1 || got[0].States[0].Lines != want {
			t.Errorf("%s: %+v, %v", role, got, err)
		}
	}
}

func TestCronFollowsTheAppsClock(t *testing.T) {
	p, _ := twoBackends(t)
	if _, err := p.SetProcess(t.Context(), ann, plane.Cron, "web", "tick", control.ProcessWish{Command: "x", On: plane.OnAll, Schedule: "30 9 * * *"}); err != nil {
		t.Fatal(err)
	}
	runs := p.count("runs")
	change := control.AppChange{Options: map[string]string{"timezone": "Asia/Tokyo"}}
	if _, err := p.ChangeApp(t.Context(), ann, "web", change); err != nil {
		t.Fatal(err)
	}
	got := p.processes(plane.Cron)[0]
	if got.Zone != "Asia/Tokyo" || got.Next.UTC().Format("15:04") != "00:30" || len(got.States) != 2 || got.States[0].State != plane.ProcessUnknown {
		t.Errorf("%+v", got)
	}
	if p.count("runs") != runs+1 {
		t.Errorf("%d Runs, before %d", p.count("runs"), runs)
	}
	p.refuses("no such zone", plane.CodeInvalid, "option", func(ctx context.Context) error {
		_, err := p.ChangeApp(ctx, ann, "web", control.AppChange{Options: map[string]string{"timezone": "Mars/Olympus"}})
		return err
	})
}

// What a queued Run was to do is not half in force when it is cancelled: the book is as before.
func TestCancelledWishAboutAProcessIsTakenBack(t *testing.T) {
	set := func(name string, w control.ProcessWish) func(p *panel) (*plane.Run, error) {
		return func(p *panel) (*plane.Run, error) {
			return p.SetProcess(p.Context(), ann, plane.Worker, "web", name, w)
		}
	}
	everywhere, other := mail(), mail()
	everywhere.On, other.Command, other.Count = plane.OnAll, "node other.js", 3
	for name, wish := range map[string]func(p *panel) (*plane.Run, error){
		"move": func(p *panel) (*plane.Run, error) {
			return p.MoveProcess(p.Context(), ann, plane.Worker, "web", "mail", control.MoveWish{Server: "s2"})
		},
		"remove": func(p *panel) (*plane.Run, error) {
			return p.RemoveProcess(p.Context(), ann, plane.Worker, "web", "mail")
		},
		"change": set("mail", other), "on all": set("mail", everywhere), "new": set("more", mail()),
	} {
		t.Run(name, func(t *testing.T) {
			p, a := twoBackends(t)
			first, err := set("mail", mail())(p)
			if err != nil {
				t.Fatal(err)
			}
			p.finish(first.ID)
			p.held(a)
			before := p.contents()["processes"]
			run, err := wish(p)
			if err != nil {
				t.Fatal(err)
			}
			runs := p.count("runs")
			if slices.Equal(before, p.contents()["processes"]) {
				t.Fatal("nothing was wished")
			}
			if got, err := p.CancelRun(t.Context(), ann, run.ID); err != nil || got.State != plane.RunCancelled {
				t.Fatalf("%+v, %v", got, err)
			}
			if after := p.contents()["processes"]; !slices.Equal(before, after) || p.count("runs") != runs {
				t.Errorf("%q, before %q; %d Runs, before %d", after, before, p.count("runs"), runs)
			}
		})
	}
}

// The Run before it acts on the whole book: what it may have done by the way is put right.
func TestCancelledWishThatAnotherRunMayHaveCarriedOut(t *testing.T) {
	p, a := twoBackends(t)
	for _, name := range []string{"mail", "idle"} {
		run, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", name, mail())
		if err != nil {
			t.Fatal(err)
		}
		p.finish(run.ID)
	}
	p.held(a)
	under, err := p.MoveProcess(t.Context(), ann, plane.Worker, "web", "idle", control.MoveWish{Server: "s2"})
	if err != nil {
		t.Fatal(err)
	}
	p.claim(under.ID)
	removal, err := p.RemoveProcess(t.Context(), ann, plane.Worker, "web", "mail")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", "fresh", mail())
	if err != nil {
		t.Fatal(err)
	}
	runs := p.count("runs")
	for _, r := range []*plane.Run{removal, fresh} {
		if _, err := p.CancelRun(t.Context(), ann, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range p.processes(plane.Worker) {
		if v.Removing != (v.Name == "fresh") { // it may have been started: what is removed is proven to be gone
			t.Errorf("%+v", v)
		}
	}
	if p.count("runs") != runs+2 {
		t.Errorf("%d Runs, before %d: nothing brings the servers to the book again", p.count("runs"), runs)
	}
}

func TestWishesAboutAProcessAreCancelledFromTheNewestOn(t *testing.T) {
	p, a := twoBackends(t)
	first, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", "mail", mail())
	if err != nil {
		t.Fatal(err)
	}
	p.finish(first.ID)
	p.held(a)
	before := p.contents()["processes"]
	move, err := p.MoveProcess(t.Context(), ann, plane.Worker, "web", "mail", control.MoveWish{Server: "s2"})
	if err != nil {
		t.Fatal(err)
	}
	removal, err := p.RemoveProcess(t.Context(), ann, plane.Worker, "web", "mail")
	if err != nil {
		t.Fatal(err)
	}
	p.refuses("the older of two wishes", plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.CancelRun(ctx, ann, move.ID); return err })
	for _, r := range []*plane.Run{removal, move} {
		if _, err := p.CancelRun(t.Context(), ann, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	if after := p.contents()["processes"]; !slices.Equal(before, after) {
		t.Errorf("%q, before %q", after, before)
	}
}

// From all to one nothing may start before it is proven that it stopped everywhere.
func TestFromAllToOneItMayBeAnywhere(t *testing.T) {
	p, a := twoBackends(t)
	for _, on := range []plane.Placement{plane.OnOne, plane.OnAll, plane.OnOne} {
		w := mail()
		w.On = on
		if _, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", "mail", w); err != nil {
			t.Fatal(err)
		}
		if on == plane.OnOne && len(p.processes(plane.Worker)) == 1 && p.processes(plane.Worker)[0].HolderID == "" {
			p.held(a)
		}
	}
	if got := p.processes(plane.Worker)[0]; got.Owner != "s1" || got.HolderID != plane.Anywhere || got.RunsOn(a.ServerID) {
		t.Errorf("%+v", got)
	}
	p.refuses("anyway, from anywhere", plane.CodeInvalid, "anyway", func(ctx context.Context) error {
		_, err := p.MoveProcess(ctx, ann, plane.Worker, "web", "mail", control.MoveWish{Server: "s2", Anyway: true, Confirm: "s1"})
		return err
	})
	if _, err := p.MoveProcess(t.Context(), ann, plane.Worker, "web", "mail", control.MoveWish{Server: "s2"}); err != nil {
		t.Error(err)
	}
}

// What a process wrote is in the log of its Run, for those who may read logs alone.
func TestWhatAProcessSaidIsForThoseWhoMayReadLogs(t *testing.T) {
	p, _ := twoBackends(t)
	run, err := p.SetProcess(t.Context(), ann, plane.Worker, "web", "mail", mail())
	if err != nil {
		t.Fatal(err)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, run.ID, []plane.Event{{Time: day, Kind: plane.EventSaid, Server: "s1", Text: "mail: from a visitor"}, {Time: day, Kind: plane.EventError, Text: "mail on s1 is failed"}})
		return err
	})
	for role, want := range map[plane.Role]bool{plane.RoleOwner: true, plane.RoleViewer: false} {
		got, err := p.Events(t.Context(), plane.Actor{Role: role}, run.ID, 0, 0)
		if err != nil || len(got) != 2 || strings.Contains(got[0].Text, "visitor") != want || got[1].Text != "mail on s1 is failed" {
			t.Errorf("%s: %+v, %v", role, got, err)
		}
	}
}
