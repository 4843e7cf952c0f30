package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// anywhere leads every probe to one server.
type anywhere struct {
	direct
	to string
}

func (a *anywhere) Dial(ctx context.Context, _ remote.Target, _ string) (net.Conn, error) {
	return a.DialContext(ctx, "tcp", a.to)
}

// turning is a live app in slot a whose next deployment, in slot b, takes turns.
type turning struct {
	*rolling
	d      *deployment
	played []string // what began on which server, and who was in the upstream then
	broken string   // server on which a start fails
	runs   string   // slot that every server says it runs alone
}

func newTurning(t *testing.T, backends int) *turning {
	t.Helper()
	tt := &turning{}
	tt.rolling = newRolling(t, func(command string) (string, bool) {
		if tt.runs == "" || !strings.Contains(command, "systemctl show") {
			return `{"result":"applied"}`, false
		}
		if strings.Contains(command, "sp-web-"+tt.runs+".service") {
			release := map[string]string{"a": tt.live.ReleaseID, "b": tt.d.plan.ReleaseID}[tt.runs]
			return "ActiveState=active\nWorkingDirectory=/home/sp_web/releases/" + release + "\n", false
		}
		return "ActiveState=inactive\n", false
	})
	for n := 2; n < backends; n++ {
		tt.join(n, tt.live.CreatedAt)
	}
	if backends == 1 {
		tt.write(func(tx *store.Tx) error { return tx.DeleteBackend(tt.ctx, tt.backends[1].ID) })
		tt.backends = tt.backends[:1]
	}
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(well.Close)
	tt.r.Player, tt.r.Prober = &stage{play: tt.play}, probe.New(&anywhere{to: well.Listener.Addr().String()}, time.Now)
	tt.seal()
	spec := tt.app.Spec
	spec.Options = map[string]string{plane.OptionDrain: "0s", plane.OptionSwitch: plane.SwitchRestart}
	plan := tt.add(plane.Deployment{
		Trigger: plane.TriggerManual, State: plane.DeploymentPreparing, Commit: commitID("b"), ReleaseID: "20260101000001-bbbbbbb", Slot: plane.SlotB, Spec: spec,
	}, time.Hour, "1")
	tt.d = tt.work(plan)
	tt.claim()
	return tt
}

// claim makes the deployment's Run one that is under way, beside a steerer.
func (tt *turning) claim() {
	tt.write(func(tx *store.Tx) error {
		return tx.Enqueue(tt.ctx, plane.Run{ID: tt.d.run.ID, Kind: plane.RunDeploy, AppID: tt.app.ID, DeploymentID: tt.d.plan.ID, CreatedAt: time.Now().UTC()})
	})
	tt.write(func(tx *store.Tx) (err error) {
		tt.d.run, _, err = tx.Claim(tt.ctx, tt.r.Owner, time.Now().UTC(), lease)
		return err
	})
	ctx, cancel := context.WithCancel(tt.ctx)
	done := make(chan struct{})
	go func() { defer close(done); tt.r.steerer.run(ctx) }()
	tt.t.Cleanup(func() { cancel(); <-done })
}

// seal gives the live deployment variables that can be opened.
func (tt *turning) seal() {
	sealed, err := tt.r.Box.Seal([]byte(`{"A":"1"}`), plane.SealDeployment(tt.live.ID))
	if err != nil {
		tt.t.Fatal(err)
	}
	tt.live.Variables = sealed
}

func (tt *turning) play(_ context.Context, p ansible.Play, _ func(ansible.Event)) (ansible.Outcome, error) {
	out := allWell(p)
	for _, h := range p.Hosts {
		how := map[bool]string{true: "instead", false: "beside"}[p.Vars["instead"] == true]
		tt.played = append(tt.played, fmt.Sprintf("%s %s %v; in: %s", h.Name, how, p.Vars["slot"], tt.inUpstream()))
		if h.Name == tt.broken && p.Vars["slot"] == "b" {
			out.Hosts[h.Name] = ansible.HostResult{Task: "Start", Message: "exited with status 7"}
		}
	}
	return out, nil
}

func (tt *turning) inUpstream() string {
	c, names := tt.d.reload(tt.balanced), []string{}
	for _, s := range c.seats {
		if recipe.InUpstream(c.app, c.seats, s.Backend.ID) {
			names = append(names, s.Server.Name)
		}
	}
	return strings.Join(names, " ")
}

func (tt *turning) same(what string, want ...string) {
	tt.t.Helper()
	if !slices.Equal(tt.played, want) {
		tt.t.Errorf("%s: played\n%s\nwant\n%s", what, strings.Join(tt.played, "\n"), strings.Join(want, "\n"))
	}
	tt.played = nil
}

// TestBackendsTakeTurns: each is out of the upstream while it is restarted, the
// others in; in the end all hold the new release, and both local sites lead to it.
func TestBackendsTakeTurns(t *testing.T) {
	tt := newTurning(t, 3)
	if _, is := tt.d.passage().(inTurn); !is {
		t.Fatalf("it goes %T", tt.d.passage())
	}
	if err := tt.d.passage().cross(tt.ctx); err != nil {
		t.Fatal(err)
	}
	tt.same("in turn", "s2 instead b; in: s1 s3", "s3 instead b; in: s1 s2", "s1 instead b; in: s2 s3")
	for n := range tt.backends {
		if b := tt.now(n); b.DeploymentID != tt.d.plan.ID || b.ReleaseID != tt.d.plan.ReleaseID || b.Ports.Shared != b.Ports.ProcessA {
			t.Errorf("s%d holds %s of %s, ports %+v", n+1, b.ReleaseID, b.DeploymentID, b.Ports)
		}
	}
	if got := tt.inUpstream(); got != "s1 s2 s3" {
		t.Errorf("in the upstream in the end: %s", got)
	}
	if told := tt.machine.told("switch web b"); len(told) != 1 {
		t.Errorf("the marker was moved %d times", len(told))
	}
}

// TestBrokenTurnIsTakenBack on all that had theirs; what was live is live by the book.
func TestBrokenTurnIsTakenBack(t *testing.T) {
	tt := newTurning(t, 3)
	tt.broken = "s3"
	way := tt.d.passage()
	err := way.cross(tt.ctx)
	if err == nil || !strings.Contains(err.Error(), "status 7") || tt.d.plan.State != plane.DeploymentSwitching {
		t.Fatalf("%v; the deployment is %s", err, tt.d.plan.State)
	}
	tt.same("forward", "s2 instead b; in: s1 s3", "s3 instead b; in: s1 s2")
	if err := way.back(tt.ctx); err != nil {
		t.Fatal(err)
	}
	tt.same("back", "s2 instead a; in: s1", "s3 instead a; in: s1 s2", "s1 instead a; in: s2 s3")
	tt.asBefore()
	if !tt.d.reverted {
		t.Error("it does not count as reverted")
	}
}

func (tt *turning) asBefore() {
	tt.t.Helper()
	for n := range tt.backends {
		if b := tt.now(n); b.DeploymentID != tt.live.ID || b.ReleaseID != tt.live.ReleaseID {
			tt.t.Errorf("s%d holds %s of %s", n+1, b.ReleaseID, b.DeploymentID)
		}
	}
	if got := len(strings.Fields(tt.inUpstream())); got != len(tt.backends) {
		tt.t.Errorf("%d of %d are in the upstream", got, len(tt.backends))
	}
}

// TestWhoRunsTheOldOneAlreadyIsNotRestarted on the way back: its server started it
// again itself when the new one did not come up, and who had no turn yet never stopped.
func TestWhoRunsTheOldOneAlreadyIsNotRestarted(t *testing.T) {
	tt := newTurning(t, 2)
	tt.broken = "s2"
	way := tt.d.passage()
	if err := way.cross(tt.ctx); err == nil {
		t.Fatal("it did not fail")
	}
	tt.same("forward", "s2 instead b; in: s1")
	tt.runs = "a"
	if err := way.back(tt.ctx); err != nil {
		t.Fatal(err)
	}
	tt.same("back")
	tt.asBefore()
}

// TestOnlyBackendStaysInTheUpstream: without it the entry would have nobody, and
// Nginx refuses that; the gap is said.
func TestOnlyBackendStaysInTheUpstream(t *testing.T) {
	tt := newTurning(t, 1)
	if err := tt.d.passage().cross(tt.ctx); err != nil {
		t.Fatal(err)
	}
	tt.same("alone", "s1 instead b; in: s1")
	if begun, ended := tt.machine.told("serverplane-gap/web"), tt.machine.told("systemctl stop --quiet \"$1\" 2>/dev/null; exit 0"); len(begun) != 1 || len(ended) != 1 {
		t.Errorf("the gap is announced %q and ended %q", begun, ended)
	}
	said := slices.ContainsFunc(tt.d.journal.take(), func(e plane.Event) bool { return strings.Contains(e.Text, "nobody else serves") })
	if !said {
		t.Error("nothing is said of the gap")
	}
}

// TestTurnsAreCarriedForward by a panel that finds one backend out for its turn:
// who runs the new release already is not restarted, and who was left out stays out.
func TestTurnsAreCarriedForward(t *testing.T) {
	tt := newTurning(t, 3)
	way := tt.d.passage()
	tt.d.plan.Parts = []plane.Part{{Server: "s1", State: plane.PartPreparing}, {Server: "s2", State: plane.PartPreparing}, {Server: "s3", State: plane.PartBehind}}
	tt.change(2, func(b *plane.Backend) { b.DeploymentID, b.ReleaseID = "", tt.live.ReleaseID })
	tt.change(1, func(b *plane.Backend) { b.DeploymentID, b.ReleaseID = "", "" })
	tt.d.crew, tt.d.resumed, tt.runs = tt.d.reload(tt.balanced), true, "b"
	tt.d.roster = resume(tt.d.crew, tt.d.took)
	if numbers(tt.d.firm) != "1 2" || numbers(tt.d.out) != "3" {
		t.Fatalf("it goes on with %s, without %s", numbers(tt.d.firm), numbers(tt.d.out))
	}
	if err := way.cross(tt.ctx); err != nil {
		t.Fatal(err)
	}
	tt.same("nothing is restarted twice")
	if got := tt.inUpstream(); got != "s1 s2" {
		t.Errorf("in the upstream: %s", got)
	}
}

// TestCancelledTurnsGoBack: a wish to cancel is heard between two backends.
func TestCancelledTurnsGoBack(t *testing.T) {
	tt := newTurning(t, 3)
	ctx, cancel := context.WithCancelCause(tt.ctx)
	way := tt.d.passage()
	tt.r.Player = &stage{play: func(c context.Context, p ansible.Play, e func(ansible.Event)) (ansible.Outcome, error) {
		cancel(errCancelled)
		return tt.play(c, p, e)
	}}
	if err := way.cross(ctx); !errors.Is(err, errCancelled) {
		t.Fatal(err)
	}
	if len(tt.played) != 1 {
		t.Errorf("after the wish to cancel: %q", tt.played)
	}
	if err := way.back(ctx); err != nil {
		t.Fatal(err)
	}
	tt.asBefore()
}
