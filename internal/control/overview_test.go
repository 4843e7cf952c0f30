package control_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func TestOverview(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.ready(2)
	p.app("web", "web.example")
	p.live("web")
	_, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.Overview(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Servers) != 2 || len(o.Apps) != 1 || o.Apps[0].ServerName != "s1" || len(o.Apps[0].Backends) != 1 || o.Apps[0].Backends[0].ServerName != "s1" {
		t.Errorf("%+v", o)
	}
	if len(o.Open) != 1 || o.Open[0].ID != run.ID || o.Open[0].AppName != "web" || len(o.Troubled) != 0 {
		t.Errorf("open %+v, troubled %+v", o.Open, o.Troubled)
	}
}

// What failed is a worry until somebody tries again, or its app is gone.
func TestOverviewTellsWhatNobodyTriedAgain(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	a := p.app("web")
	_, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		r, _, err := tx.Claim(ctx, "panel-1", p.now(), time.Hour)
		if err != nil || r.ID != run.ID {
			return fmt.Errorf("claimed %s: %w", r.ID, err)
		}
		return tx.Finish(ctx, r.ID, r.Owner, r.Attempt, plane.RunFailed, "npm ended with 1", p.now())
	})
	troubled := func() []string {
		o, err := p.Overview(t.Context(), ann)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, r := range o.Troubled {
			told = append(told, r.AppName+": "+r.Reason)
		}
		return told
	}
	if diff := cmp.Diff([]string{"web: npm ended with 1"}, troubled()); diff != "" {
		t.Error(diff)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteApp(ctx, a.ID) })
	if got := troubled(); got != nil {
		t.Errorf("of an app that is gone: %v", got)
	}
}

func TestRunStepsAndStateFilter(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	s := p.add(2)
	runs, err := p.Runs(t.Context(), ann, control.RunFilter{State: plane.RunQueued})
	if err != nil || len(runs) != 1 || runs[0].ServerID != s.ID || runs[0].ServerNames[0] != "s2" {
		t.Fatalf("queued: %+v, %v", runs, err)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, runs[0].ID, []plane.Event{
			{Time: day, Kind: plane.EventStep, Text: "look"}, {Time: day, Kind: plane.EventLog, Text: "said"},
		})
		return err
	})
	steps, last, err := p.RunSteps(t.Context(), ann, runs[0].ID)
	if err != nil || len(steps) != 1 || steps[0].Text != "look" || last != 2 {
		t.Errorf("steps %v, last %d, %v", steps, last, err)
	}
	if _, _, err := p.RunSteps(t.Context(), ann, "run_none"); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("steps of no Run: %v", err)
	}
}

// BenchmarkOverview asks for everything there is with 200 apps on 1000 backends
// and 2000 Runs.
func BenchmarkOverview(b *testing.B) {
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "panel.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(b.Context(), func(tx *store.Tx) error { return fillStore(b.Context(), tx) }); err != nil {
		b.Fatal(err)
	}
	c := control.New(control.Config{Store: s, Now: func() time.Time { return day.Add(time.Hour) }})
	b.ResetTimer()
	for b.Loop() {
		o, err := c.Overview(b.Context(), ann)
		if err != nil || len(o.Apps) != 200 || len(o.Apps[7].Backends) != 5 {
			b.Fatal(len(o.Apps), err)
		}
	}
}

func fillStore(ctx context.Context, tx *store.Tx) error {
	for i := range 50 {
		s := plane.Server{ID: fmt.Sprintf("srv_%d", i), Name: fmt.Sprintf("s%d", i), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), SSHPort: 22,
			State: plane.ServerReady, Firewall: plane.FirewallManage, Survey: debian(), CreatedAt: day}
		s.PrivateAddress = s.Address
		if err := tx.CreateServer(ctx, s); err != nil {
			return err
		}
	}
	for i := range 200 {
		if err := fillApp(ctx, tx, i); err != nil {
			return err
		}
	}
	return nil
}

func fillApp(ctx context.Context, tx *store.Tx, i int) error {
	a := plane.App{ID: fmt.Sprintf("app_%d", i), Name: fmt.Sprintf("app%d", i), Kind: plane.KindNodeJS, ServerID: fmt.Sprintf("srv_%d", i%50), Repository: "https://example.com/x.git",
		Branch: "main", Domains: []string{fmt.Sprintf("app%d.example", i)}, State: plane.AppLive, Balancer: plane.NewLoadBalancer(), CreatedAt: day}
	if err := tx.CreateApp(ctx, a); err != nil {
		return err
	}
	for n := range 5 {
		b := plane.Backend{ID: fmt.Sprintf("bck_%d_%d", i, n), AppID: a.ID, ServerID: fmt.Sprintf("srv_%d", (i+n)%50), Primary: n == 0, Enabled: true, Placed: true, Weight: 1,
			Health: plane.Health{State: plane.BackendHealthy, Reason: "answered 200"}, CreatedAt: day}
		if err := tx.CreateBackend(ctx, b); err != nil {
			return err
		}
	}
	for n := range 10 {
		r := plane.Run{ID: fmt.Sprintf("run_%d_%d", i, n), Kind: plane.RunDeploy, AppID: a.ID, Servers: []string{a.ServerID}, CreatedAt: day}
		if err := tx.Enqueue(ctx, r); err != nil {
			return err
		}
		if err := tx.RequestCancel(ctx, r.ID, day); err != nil {
			return err
		}
	}
	return nil
}
