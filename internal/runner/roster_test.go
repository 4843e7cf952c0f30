package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// TestWhoTakesPart: a backend is its number and what is the matter with it: o
// off, t taken out, n behind, u never let in, r on its way out.
func TestWhoTakesPart(t *testing.T) {
	for _, c := range []struct{ backends, without, firm, loose, out, refused string }{
		{backends: "1 2 3", firm: "1 2 3"},
		{backends: "1 2o 3t", firm: "1 3", loose: "2"},
		{backends: "1 2n 3on", firm: "1 2", loose: "3"},
		{backends: "1 2u 3r", firm: "1"},
		{backends: "1 2 3", without: "3", firm: "1 2", out: "3"},
		{backends: "1 2 3o", without: "3 2", firm: "1", out: "2 3"},
		{backends: "1o 2 3", firm: "1 2 3"},
		{backends: "1o 2 3", without: "2", firm: "1 3", out: "2"},
		{backends: "1o 2", without: "2", refused: "nobody would serve"},
		{backends: "1 2", without: "1", refused: "primary"},
		{backends: "1 2", without: "4", refused: "no backend on s4"},
	} {
		crew := crew{app: plane.App{Name: "web"}}
		crew.app.Balancer.Status = plane.BalancerOn
		for word := range strings.FieldsSeq(c.backends) {
			has := func(mark string) bool { return strings.Contains(word, mark) }
			crew.seats = append(crew.seats, recipe.Seat{Server: plane.Server{Name: "s" + word[:1]}, Backend: plane.Backend{
				Primary: has("1"), Enabled: !has("o"), TakenOut: has("t"), Placed: !has("u"), Removing: has("r"),
			}})
		}
		var without []string
		for n := range strings.FieldsSeq(c.without) {
			without = append(without, "s"+n)
		}
		r, err := enlist(crew, without)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q without %q: %v", c.backends, c.without, err)
			}
			continue
		}
		got := [3]string{numbers(r.firm), numbers(r.loose), numbers(r.out)}
		if err != nil || got != [3]string{c.firm, c.loose, c.out} {
			t.Errorf("%q without %q: %q, %v", c.backends, c.without, got, err)
		}
	}
}

func numbers(seats []recipe.Seat) string {
	var out []string
	for _, s := range seats {
		out = append(out, strings.TrimPrefix(s.Server.Name, "s"))
	}
	return strings.Join(out, " ")
}

// parts of a deployment of four backends: 2 takes part, 3 takes none, 4 was
// behind before and takes part.
func parted(t *testing.T) (*balanced, *deployment) {
	b := newBalanced(t, 4, nil)
	b.change(3, func(b *plane.Backend) { b.DeploymentID, b.ReleaseID = "dep_older", "20250101000000-ccccccc" })
	plan := b.live
	plan.ID, plan.Slot, plan.State, plan.ReleaseID = plane.NewID(plane.PrefixDeployment), plane.SlotB, plane.DeploymentPreparing, "20260101000001-bbbbbbb"
	b.write(func(tx *store.Tx) error { return tx.CreateDeployment(b.ctx, plan) })
	d := &deployment{job: newJob(b.runner(), plane.Run{ID: plane.NewID(plane.PrefixRun), AppID: b.app.ID}), plan: plan, former: b.live, previous: plane.SlotA}
	b.write(func(tx *store.Tx) (err error) {
		d.crew, err = loadCrew(b.ctx, tx, b.app.ID)
		return err
	})
	d.firm = []recipe.Seat{d.crew.seats[0], d.crew.seats[1], d.crew.seats[3]}
	d.out = []recipe.Seat{d.crew.seats[2]}
	return b, d
}

// holds tells what the live slot of each backend was started from, by release.
func (b *balanced) holds(plan plane.Deployment) string {
	var out []string
	for n := range b.backends {
		word := map[string]string{plan.ID: "new", b.live.ID: "live", "": "nothing"}[b.now(n).DeploymentID]
		out = append(out, fmt.Sprintf("%s/%s", word, b.now(n).ReleaseID[8:]))
	}
	return strings.Join(out, " ")
}

// resumedBy is the roster of a panel that finds what this one left.
func (d *deployment) resumedBy(b *balanced) roster {
	next := *d
	next.crew = d.reload(b)
	return resume(next.crew, next.took)
}

// TestBookOfASwitch: what is written at each point is what a panel that dies
// there finds, and a person's wish of meanwhile is not overwritten.
func TestBookOfASwitch(t *testing.T) {
	b, d := parted(t)
	b.started(&stage{})
	if err := d.leaveBehind(b.ctx); err != nil {
		t.Fatal(err)
	}
	const a, c, n = "000000-aaaaaaa", "000000-ccccccc", "000001-bbbbbbb"
	if got, want := b.holds(d.plan), "live/"+a+" live/"+a+" nothing/"+a+" /"+c; got != want {
		t.Errorf("before the switch %s, want %s", got, want)
	}
	if r := d.resumedBy(b); numbers(r.firm) != "1 2" || numbers(r.out) != "3 4" {
		t.Errorf("a panel that died there goes on with %s, without %s", numbers(r.firm), numbers(r.out))
	}
	b.change(1, func(b *plane.Backend) { b.Enabled, b.Weight = false, 7 }) // a person, meanwhile
	b.write(func(tx *store.Tx) error { _, err := d.goLive(b.ctx, tx); return err })
	if got, want := b.holds(d.plan), "new/"+n+" new/"+n+" live/"+a+" /"+c; got != want {
		t.Errorf("after the switch %s, want %s", got, want)
	}
	if got := b.now(1); got.Enabled || got.Weight != 7 {
		t.Errorf("a person's wish was overwritten: %+v", got)
	}
	if r := d.resumedBy(b); numbers(r.firm) != "1" || numbers(r.loose) != "2" || numbers(r.out) != "3 4" {
		t.Errorf("a panel that died there goes on with %s and %s, without %s", numbers(r.firm), numbers(r.loose), numbers(r.out))
	}
	b.write(func(tx *store.Tx) error { return d.done(b.ctx, tx) })
	if got, want := b.holds(d.plan), "new/"+n+" new/"+n+" live/"+a+" new/"+n; got != want {
		t.Errorf("completed %s, want %s", got, want)
	}
}

// TestBookOfASwitchBack: everybody is as before, who was behind as well.
func TestBookOfASwitchBack(t *testing.T) {
	for _, switched := range []bool{false, true} {
		b, d := parted(t)
		before := b.holds(d.plan)
		b.started(&stage{})
		if err := d.leaveBehind(b.ctx); err != nil {
			t.Fatal(err)
		}
		if switched {
			b.write(func(tx *store.Tx) error { _, err := d.goLive(b.ctx, tx); return err })
		}
		b.write(func(tx *store.Tx) error { _, err := d.unlive(b.ctx, tx); return err })
		if got := b.holds(d.plan); got != before {
			t.Errorf("switched %v: back to %s, before it was %s", switched, got, before)
		}
		if !slices.ContainsFunc(b.backends, func(o plane.Backend) bool { return o.Placed }) {
			t.Error("nobody is placed")
		}
	}
}

func (d *deployment) reload(b *balanced) (c crew) {
	b.write(func(tx *store.Tx) (err error) {
		c, err = loadCrew(b.ctx, tx, b.app.ID)
		return err
	})
	return c
}
