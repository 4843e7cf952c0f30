package control_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// made is a database of web that is ready, in an engine that was seen.
func (p *panel) made(name, prefix string, seen plane.DatabaseServer) plane.Database {
	p.Helper()
	run, err := p.CreateDatabase(p.Context(), ann, control.DatabaseWish{Name: name, App: "web", Engine: plane.PostgreSQL, Prefix: prefix})
	if err != nil {
		p.Fatal(err)
	}
	var d plane.Database
	p.write(func(ctx context.Context, tx *store.Tx) (err error) {
		if d, err = tx.DatabaseByName(ctx, name); err != nil {
			return err
		}
		seen.ServerID, seen.Engine = d.ServerID, d.Engine
		if err := tx.SetDatabaseServer(ctx, seen); err != nil {
			return err
		}
		return tx.SetDatabaseState(ctx, d.ID, plane.DatabaseReady, "", day)
	})
	p.ended(run.ID)
	d.State = plane.DatabaseReady
	return d
}

// ended ends a queued Run without its having begun.
func (p *panel) ended(id string) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.RequestCancel(ctx, id, day) })
}

func TestCreateDatabase(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	a := p.app("web")
	create := func(w control.DatabaseWish) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.CreateDatabase(ctx, ann, w); return err }
	}
	good := control.DatabaseWish{Name: "shop", App: "web", Engine: plane.PostgreSQL}
	for field, spoil := range map[string]func(*control.DatabaseWish){
		"name":     func(w *control.DatabaseWish) { w.Name = "postgres" },
		"engine":   func(w *control.DatabaseWish) { w.Engine = "oracle" },
		"prefix":   func(w *control.DatabaseWish) { w.Prefix = "a b" },
		"password": func(w *control.DatabaseWish) { w.Password = "short" },
		"app":      func(w *control.DatabaseWish) { w.App = "none" },
	} {
		w := good
		spoil(&w)
		code := plane.CodeInvalid
		if field == "app" {
			code = plane.CodeNotFound
		}
		p.refuses(field, code, field, create(w))
	}
	if err := p.SetVariables(t.Context(), ann, "web", map[string]string{"DB_HOST": "x"}); err != nil {
		t.Fatal(err)
	}
	p.refuses("a variable of its own", plane.CodeConflict, "", create(good))
	if err := p.UnsetVariables(t.Context(), ann, "web", []string{"DB_HOST"}); err != nil {
		t.Fatal(err)
	}
	run, err := p.CreateDatabase(t.Context(), ann, good)
	want := plane.SortLocks(plane.Shared(plane.AppLock(a.ID)), plane.DatabaseLock(s.ID), plane.PackagesLock(s.ID))
	if err != nil || run.Kind != plane.RunCreateDatabase || !slices.Equal(run.Locks, want) {
		t.Fatalf("%+v, %v", run, err)
	}
	far := wishedApp("far")
	far.Server = p.ready(2).Name
	if _, _, err := p.CreateApp(t.Context(), ann, far); err != nil {
		t.Fatal(err)
	}
	p.refuses("a database of another primary", plane.CodeConflict, "name", func(ctx context.Context) error {
		_, err := p.CreateDatabase(ctx, ann, control.DatabaseWish{Name: "shop", App: "far", Engine: plane.PostgreSQL})
		if err != nil && !strings.Contains(err.Error(), "an app uses databases of its own primary only") {
			t.Errorf("it says %v", err)
		}
		return err
	})
	p.refuses("twice", plane.CodeConflict, "", create(good))
	second := good
	second.Name = "other"
	p.refuses("a second one without a prefix", plane.CodeInvalid, "prefix", create(second))
	p.refuses("a computed variable", plane.CodeInvalid, "DB_PASSWORD", func(ctx context.Context) error {
		return p.SetVariables(ctx, ann, "web", map[string]string{"DB_PASSWORD": "x"})
	})
	p.refuses("removing an app with data", plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.RemoveApp(ctx, ann, "web"); return err })

	if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
		t.Fatal(err)
	}
	if d, err := p.Database(t.Context(), ann, "shop"); err != nil || d.State != plane.DatabaseFailed || !strings.Contains(d.Reason, "db create again continues") {
		t.Errorf("%+v, %v", d.Database, err)
	}
	if _, err := p.CreateDatabase(t.Context(), ann, good); err != nil {
		t.Errorf("asking again does not continue: %v", err)
	}
}

// TestPortThatIsTaken: what the survey knows is told before anything is queued, and an engine that is there may hold its own port.
func TestPortThatIsTaken(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.found.survey = debian()
	p.found.survey.Listening = append(p.found.survey.Listening, plane.Socket{Proto: "tcp", Address: "0.0.0.0", Port: 5432, Process: "python3"})
	survey := func() {
		if _, err := p.SurveyServer(t.Context(), ann, "s1"); err != nil {
			t.Fatal(err)
		}
	}
	create := func(ctx context.Context) error {
		_, err := p.CreateDatabase(ctx, ann, control.DatabaseWish{Name: "shop", App: "web", Engine: plane.PostgreSQL})
		if err != nil && !strings.Contains(err.Error(), `port 5432 of "s1" is held by python3, and PostgreSQL listens there`) {
			t.Errorf("it says %v", err)
		}
		return err
	}
	survey()
	p.refuses("a port that is taken", plane.CodeConflict, "engine", create)
	if _, err := p.Database(t.Context(), ann, "shop"); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("something of it was kept: %v", err)
	}
	p.found.survey.Databases = []string{"postgresql"}
	survey()
	if err := create(t.Context()); err != nil {
		t.Errorf("an engine that is there: %v", err)
	}
}

// TestComputedVariables: they are shown as such, masked, and what is applied
// knows of them.
func TestComputedVariables(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.live("web")
	if run, err := p.ApplyVariables(t.Context(), ann, "web", nil); err != nil || run != nil {
		t.Fatalf("%+v, %v", run, err)
	}
	p.made("shop", "", plane.DatabaseServer{Port: 5433, TLS: true, Open: true, MaxConnections: 100, Reserved: 3})
	all, err := p.Variables(t.Context(), ann, "web", true)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, v := range all {
		if v.Computed == "" {
			t.Errorf("%s is not computed", v.Name)
		}
		if differs := strings.Contains(v.Computed, "the host is"); differs != (v.Name == "DB_HOST" || v.Name == "DATABASE_URL") {
			t.Errorf("%s is told as %q", v.Name, v.Computed)
		}
		values[v.Name] = v.Value
	}
	if values["DB_HOST"] != "127.0.0.1" || values["DB_PORT"] != "5433" || len(values["DB_PASSWORD"]) != 32 || !strings.HasSuffix(values["DATABASE_URL"], "/a/database-ca.pem") {
		t.Errorf("%v", values)
	}
	masked, err := p.Variables(t.Context(), ann, "web", false)
	if err != nil || len(masked) != len(all) || slices.ContainsFunc(masked, func(v control.VariableView) bool { return v.Value != "" }) {
		t.Errorf("%v, %v", masked, err)
	}
	if run, err := p.ApplyVariables(t.Context(), ann, "web", nil); err != nil || run == nil {
		t.Errorf("a new database is nothing to apply: %v", err)
	}
}

func TestBackendAndDatabase(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.ready(2)
	p.ready(3)
	p.app("web")
	p.live("web")
	if _, err := p.EnableBalancer(t.Context(), ann, "web", read); err != nil {
		t.Fatal(err)
	}
	next := "s2"
	add := func(ids ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.AddBackend(ctx, ann, "web", control.BackendWish{Server: next, Acknowledge: ids})
			return err
		}
	}
	d := p.made("shop", "", plane.DatabaseServer{Port: 5432, MaxConnections: 30, Reserved: 3})
	p.refuses("an engine that listens on itself only", plane.CodeConflict, "acknowledge", add())
	p.refuses("over budget", plane.CodeConflict, "acknowledge", add(plane.AckRestart))
	if err := add(plane.AckRestart)(t.Context()); !strings.Contains(err.Error(), "want 40 connections") || !strings.Contains(err.Error(), "takes 27") || !strings.Contains(err.Error(), "--max-connections 50") {
		t.Errorf("the numbers are not told: %v", err)
	}
	five := 5
	if run, err := p.SetDatabase(t.Context(), ann, "shop", control.DatabaseChange{Pool: &five}); err != nil || run != nil {
		t.Errorf("%+v, %v", run, err)
	}
	if err := add(plane.AckRestart)(t.Context()); err != nil {
		t.Error(err)
	}
	next = "s3"
	if err := add(plane.AckRestart)(t.Context()); err == nil || !strings.Contains(err.Error(), "want 30 connections") {
		t.Errorf("beside another one that is being added: %v", err)
	}
	if err := add(plane.AckRestart, plane.AckBudget)(t.Context()); err != nil {
		t.Errorf("acknowledged: %v", err)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		b, err := tx.BackendsOf(ctx, d.AppID)
		if err != nil {
			return err
		}
		return tx.SetAccess(ctx, plane.Access{DatabaseID: d.ID, BackendID: b[0].ID, Address: netip.MustParseAddr("127.0.0.1")})
	})
	v, err := p.Database(t.Context(), ann, "shop")
	if err != nil || len(v.Access) != 1 || v.Access[0].ServerName != "s1" || v.Budget.Wanted != 30 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestRestartIsAnnounced with each engine that needs one and all apps in it.
func TestRestartIsAnnounced(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.ready(2)
	p.app("other", "other.example.com")
	p.app("web")
	p.live("web")
	if _, err := p.EnableBalancer(t.Context(), ann, "web", read); err != nil {
		t.Fatal(err)
	}
	closed := plane.DatabaseServer{Port: 5432, MaxConnections: 300, Reserved: 3}
	p.made("shop", "", closed)
	p.made("second", "SECOND", closed)
	if _, err := p.CreateDatabase(t.Context(), ann, control.DatabaseWish{Name: "theirs", App: "other", Engine: plane.PostgreSQL}); err != nil {
		t.Fatal(err)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.DatabaseByName(ctx, "second")
		if err != nil {
			return err
		}
		closed.ServerID, closed.Engine, d.Engine = d.ServerID, plane.MariaDB, plane.MariaDB
		if err := tx.SetDatabaseServer(ctx, closed); err != nil {
			return err
		}
		d.State = plane.DatabaseReady
		return tx.UpdateDatabase(ctx, d)
	})
	_, err := p.AddBackend(t.Context(), ann, "web", control.BackendWish{Server: "s2"})
	if err == nil {
		t.Fatal("it would be restarted unannounced")
	}
	for _, want := range []string{"PostgreSQL was there before", "cuts the connections of web, other, whatever else uses it for about a second", "MariaDB was there before", "of web, whatever", "--acknowledge restart"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
}

func TestSetDatabase(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.made("shop", "", plane.DatabaseServer{Port: 5432, MaxConnections: 100, Reserved: 3, TLS: true})
	set := func(ch control.DatabaseChange) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.SetDatabase(ctx, ann, "shop", ch); return err }
	}
	few, many, yes := 5, 300, true
	p.refuses("nothing", plane.CodeInvalid, "body", set(control.DatabaseChange{}))
	p.refuses("too few", plane.CodeInvalid, "max_connections", set(control.DatabaseChange{MaxConnections: &few}))
	p.refuses("a restart nobody agreed to", plane.CodeConflict, "acknowledge", set(control.DatabaseChange{MaxConnections: &many}))
	run, err := p.SetDatabase(t.Context(), ann, "shop", control.DatabaseChange{MaxConnections: &many, RequireTLS: &yes, Acknowledge: []string{plane.AckRestart}})
	if err != nil || run == nil || run.Kind != plane.RunSetDatabase || !strings.Contains(string(run.Args), `"restart":true`) {
		t.Fatalf("%+v, %v", run, err)
	}
	p.refuses("while a Run is at it", plane.CodeConflict, "", set(control.DatabaseChange{RequireTLS: &yes}))
	if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
		t.Fatal(err)
	}
	if d, err := p.Database(t.Context(), ann, "shop"); err != nil || d.RequireTLS || d.Server.WantedMax != 0 {
		t.Errorf("what was cancelled is still wished: %+v, %v", d, err)
	}
	p.refuses("a backup that is none", plane.CodeNotFound, "", func(ctx context.Context) error {
		_, err := p.RestoreDatabase(ctx, ann, "shop", "bkp_none")
		return err
	})
}

// TestLimitOfAnEngine: one Run at a time, since each may have to take its wish back.
func TestLimitOfAnEngine(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	seen := plane.DatabaseServer{Port: 5432, MaxConnections: 100, Reserved: 3, TLS: true}
	p.made("shop", "", seen)
	p.made("other", "OTHER", seen)
	many, more := 300, 400
	set := func(name string, n *int) error {
		_, err := p.SetDatabase(t.Context(), ann, name, control.DatabaseChange{MaxConnections: n, Acknowledge: []string{plane.AckRestart}})
		return err
	}
	if err := set("shop", &many); err != nil {
		t.Fatal(err)
	}
	p.refuses("another limit meanwhile", plane.CodeConflict, "", func(context.Context) error { return set("other", &more) })
}

// TestRemoveDatabase: until the Run begins to take it away it is what it was.
func TestRemoveDatabase(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	a := p.app("web")
	d := p.made("shop", "", plane.DatabaseServer{Port: 5432, MaxConnections: 100, Reserved: 3})
	remove := func() plane.Run {
		t.Helper()
		run, err := p.RemoveDatabase(t.Context(), ann, "shop")
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	is := func(state plane.DatabaseState, says string) {
		t.Helper()
		d, err := p.Database(t.Context(), ann, "shop")
		if err != nil || d.State != state || !strings.HasSuffix(d.Reason, says) {
			t.Errorf("%s: %s, %v; want %s: …%s", d.State, d.Reason, err, state, says)
		}
	}
	run := remove()
	if want := plane.SortLocks(plane.AppLock(a.ID), plane.DatabaseLock(s.ID)); !slices.Equal(run.Locks, want) {
		t.Errorf("it holds %q: a backend could be started meanwhile with the variables of what goes", run.Locks)
	}
	is(plane.DatabaseReady, "its removal is queued")
	p.refuses("twice", plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.RemoveDatabase(ctx, ann, "shop"); return err })
	p.refuses("a backup meanwhile", plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.BackupDatabase(ctx, ann, "shop"); return err })
	cancel := func(id string) {
		t.Helper()
		if _, err := p.CancelRun(t.Context(), ann, id); err != nil {
			t.Fatal(err)
		}
	}
	cancel(run.ID)
	is(plane.DatabaseReady, "nothing was taken away")
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetDatabaseState(ctx, d.ID, plane.DatabaseRemoving, "its removal has begun", day)
	})
	cancel(remove().ID)
	is(plane.DatabaseRemoving, "db remove again continues")
}

// TestProveAnew changes nothing, and is a Run all the same.
func TestProveAnew(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	before := p.made("shop", "", plane.DatabaseServer{Port: 5432, TLS: true, Open: true, MaxConnections: 100, Reserved: 3})
	run, err := p.SetDatabase(t.Context(), ann, "shop", control.DatabaseChange{Prove: true})
	if err != nil || run == nil || run.Kind != plane.RunSetDatabase || !strings.Contains(string(run.Args), `"prove":true`) || strings.Contains(string(run.Args), "change") {
		t.Fatalf("%+v, %v", run, err)
	}
	if now, err := p.Database(t.Context(), ann, "shop"); err != nil || now.Revision != before.Revision || now.RequireTLS {
		t.Errorf("%+v, %v", now.Database, err)
	}
	p.refuses("nothing named", plane.CodeInvalid, "body", func(ctx context.Context) error {
		_, err := p.SetDatabase(ctx, ann, "shop", control.DatabaseChange{})
		return err
	})
}
