package runner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// addition brings the live commit to one more server and only then lets it
// into the upstream. Every step can be repeated, so asking again continues.
type addition struct {
	*job
	crew crew
	seat recipe.Seat // the new one
	live plane.Deployment
	sure bool // it is not in the upstream

	version string // of the kind's runtime on the new one, or empty
}

func (a *addition) do(ctx context.Context) error {
	a.steps(5)
	a.sure = true
	told, err := a.args()
	if err != nil {
		return err
	}
	if err := a.load(ctx); err != nil {
		return err
	}
	if err := a.preflight(ctx); err != nil {
		return err
	}
	if err := a.weighMemory(ctx, told.Memory); err != nil {
		return err
	}
	if err := a.openDatabases(ctx, a.crew, a.seat, told.Restart); err != nil {
		return err
	}
	if err := a.step(ctx, "build and start the live commit"); err != nil {
		return err
	}
	if err := a.lead(ctx); err != nil {
		return err
	}
	if err := a.build(ctx, []recipe.Seat{a.seat}, a.live, a.crew.app); err != nil {
		return err
	}
	if err := a.compareRuntimes(ctx); err != nil {
		return err
	}
	if err := a.proveOwn(ctx, a.crew, a.seat, a.crew.app.LiveSlot); err != nil {
		return err
	}
	if err := a.probe(ctx); err != nil {
		return err
	}
	if err := a.keepAtBoot(ctx); err != nil {
		return err
	}
	if err := a.place(ctx); err != nil {
		return err
	}
	return a.bringProcesses(ctx, a.run.AppID, []recipe.Seat{a.seat}, a.live)
}

func (a *addition) load(ctx context.Context) error {
	return a.Store.Read(ctx, func(tx *store.Tx) error { return a.find(ctx, tx) })
}

func (a *addition) find(ctx context.Context, tx *store.Tx) (err error) {
	if a.crew, err = loadCrew(ctx, tx, a.run.AppID); err != nil {
		return err
	}
	a.seat = recipe.Seat{}
	for _, s := range a.crew.seats {
		if s.Backend.ID == a.run.BackendID {
			a.seat = s
		}
	}
	if a.seat.Backend.ID == "" {
		return fmt.Errorf("the backend is no longer part of %s", a.crew.app.Name)
	}
	a.live, err = tx.Deployment(ctx, a.crew.app.LiveID)
	return err
}

// minDisk and minMemory are what a backend must have free, in MiB.
const (
	minDisk   = 500
	minMemory = 128
)

// preflight measures instead of assuming: both ways between the two servers,
// what each sees of the other, and whether there is room.
func (a *addition) preflight(ctx context.Context) error {
	if err := a.step(ctx, "preflight"); err != nil {
		return err
	}
	primary := a.crew.primary().Server
	if err := a.refuseUnreachable(ctx, []recipe.Seat{a.crew.primary(), a.seat}); err != nil {
		return err
	}
	survey, err := a.Looker.Survey(ctx, a.seat.Server)
	if err != nil {
		return err
	}
	if survey.DiskFreeMiB < minDisk || survey.MemoryMiB < minMemory {
		return fmt.Errorf("%s has %d MiB disk and %d MiB memory; a backend needs %d and %d",
			a.seat.Server.Name, survey.DiskFreeMiB, survey.MemoryMiB, minDisk, minMemory)
	}
	a.say(a.seat.Server.Name, "is reached, has %d MiB of disk free and %d MiB of memory", survey.DiskFreeMiB, survey.MemoryMiB)
	seen, err := a.measure(ctx, primary, a.seat.Server)
	if err != nil {
		return err
	}
	if _, err := a.measure(ctx, a.seat.Server, primary); err != nil {
		return err
	}
	a.weighWay(ctx, a.seat.Server, primary)
	if err := a.caution(ctx); err != nil {
		return err
	}
	return a.keepSeen(ctx, seen)
}

// caution tells what the app's kind finds in what is live. It stops nothing: the person was told that files are not shared.
func (a *addition) caution(ctx context.Context) error {
	kind, err := a.Kinds.Of(a.crew.app.Kind)
	if err != nil {
		return err
	}
	asked, any := recipe.Cautions(kind, a.crew.app, a.live)
	if !any {
		return nil
	}
	primary := a.crew.primary().Server
	res, err := a.Pool.Exec(ctx, recipe.Target(primary), asked)
	if err == nil && res.Exit != 0 {
		err = errors.New(firstLine(string(res.Stderr)))
	}
	if err != nil {
		a.say(primary.Name, "warning: what the app keeps in files could not be looked at: %v", err)
		return context.Cause(ctx)
	}
	for line := range strings.Lines(strings.TrimSpace(string(res.Stdout))) {
		a.say(primary.Name, "%s", strings.TrimSpace(line))
	}
	return nil
}

// measure connects from one server to the other's private address and asks the
// other what it saw.
func (j *job) measure(ctx context.Context, from, to plane.Server) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s, err := j.Pool.SeenAs(ctx, recipe.Target(from), recipe.InnerTarget(to))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("connect from %s to %s (%s): %w; is %s the address other servers use?",
			from.Name, to.Name, to.PrivateAddress, err, to.PrivateAddress)
	}
	j.say(to.Name, "sees %s as %s, round trip %s", from.Name, s.Address, s.RTT.Round(10*time.Microsecond))
	if isPublic(s.Address) || isPublic(to.PrivateAddress) {
		j.say(to.Name, "warning: traffic between %s and %s crosses a public network", from.Name, to.Name)
	}
	return s.Address, nil
}

// isPublic leaves out what never crosses a public network: 198.18.0.0/15 is
// reserved for tests.
func isPublic(a netip.Addr) bool {
	benchmarking := netip.MustParsePrefix("198.18.0.0/15")
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !benchmarking.Contains(a)
}

func (a *addition) keepSeen(ctx context.Context, seen netip.Addr) error {
	a.seat.Backend.SeenAs = seen
	return a.Store.Write(ctx, func(tx *store.Tx) error {
		return change(ctx, tx, a.seat.Backend.ID, func(b *plane.Backend) { b.SeenAs = seen })
	})
}

// lead has the local sites lead to where the live slot's process will listen; they come into force before it is asked.
func (a *addition) lead(ctx context.Context) error {
	return a.Store.Write(ctx, func(tx *store.Tx) error {
		a.seat.Backend.Ports.Shared = a.live.Spec.SharedPort(a.seat.Backend.Ports)
		return shareSlots(ctx, tx, a.seat.Backend.ID, a.live.Spec.SharedPort)
	})
}

func (a *addition) probe(ctx context.Context) error {
	if err := a.step(ctx, "ask the new backend from the entry's place"); err != nil {
		return err
	}
	if err := a.steerSeats(ctx, []string{a.seat.Server.ID}); err != nil {
		return err
	}
	return a.probeSlot(ctx, a.crew, []recipe.Seat{a.seat}, a.crew.app.LiveSlot, a.crew.app.Spec.HealthPath)
}

func (a *addition) keepAtBoot(ctx context.Context) error {
	if err := a.step(ctx, "keep it at boot"); err != nil {
		return err
	}
	play, err := recipe.Retire(a.run.ID, a.crew.app, a.crew.app.LiveSlot, []string{a.live.ReleaseID}, []recipe.Seat{a.seat})
	if err != nil {
		return err
	}
	return a.play(ctx, play)
}

// place lets the backend into the upstream, the last thing that happens.
func (a *addition) place(ctx context.Context) error {
	if err := a.step(ctx, "let it into the upstream"); err != nil {
		return err
	}
	primary := a.crew.primary().Server.ID
	var wanted map[string]int64
	err := a.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := a.setPlaced(ctx, tx, true); err != nil {
			return err
		}
		wanted, err = raise(ctx, tx, []string{primary})
		return err
	})
	if err != nil {
		return err
	}
	a.sure = false
	if err := a.await(ctx, wanted); err == nil || errors.Is(context.Cause(ctx), errLost) {
		return err
	} else if back := a.takeOut(context.WithoutCancel(ctx)); back != nil {
		return fmt.Errorf("%w; taking it out again: %w", err, back)
	} else {
		return err
	}
}

// takeOut takes back a place that could not be put in force, or not in time. It
// is sure only when the entry has the tree without it.
func (a *addition) takeOut(ctx context.Context) error {
	var wanted map[string]int64
	err := a.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := a.setPlaced(ctx, tx, false); err != nil {
			return err
		}
		wanted, err = raise(ctx, tx, []string{a.crew.primary().Server.ID})
		return err
	})
	if err != nil {
		return err
	}
	err = a.await(ctx, wanted)
	a.sure = err == nil
	return err
}

// setPlaced says that the backend has, or has not, a place in the upstream.
func (a *addition) setPlaced(ctx context.Context, tx *store.Tx, placed bool) error {
	leaving := false
	err := change(ctx, tx, a.seat.Backend.ID, func(b *plane.Backend) {
		b.Placed, b.ReleaseID, b.DeploymentID, b.Runtime = placed, a.live.ReleaseID, a.live.ID, a.version
		leaving = b.Removing
	})
	if err == nil && placed && leaving {
		return plane.Conflict(a.seat.Server.Name+" is being removed by now", "")
	}
	return err
}

// undo leaves nothing running on a server that is not part of the app; one that
// visitors may still be sent to keeps its process.
func (a *addition) undo(ctx context.Context, _ error) {
	if a.seat.Server.ID == "" {
		return
	}
	a.stopRunUnits(ctx, a.crew.app, []plane.Server{a.seat.Server})
	if !a.sure {
		return
	}
	a.stopSlot(ctx, a.crew.app, []plane.Server{a.seat.Server}, a.crew.app.LiveSlot)
}

func (a *addition) done(context.Context, *store.Tx) error { return nil }

func (a *addition) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	b, err := tx.Backend(ctx, a.run.BackendID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // it was removed while this waited
	}
	if err != nil {
		return err
	}
	if b.Placed { // it got there; only the panel did not see the end
		if all, err := tx.Processes(ctx, a.run.AppID); err != nil || len(all) == 0 || state != plane.RunInterrupted {
			return err
		}
		return carryOn(ctx, tx, plane.Run{
			Kind: plane.RunProcesses, AppID: a.run.AppID, Servers: a.run.Servers, Locks: []string{plane.AppLock(a.run.AppID)}, Actor: a.run.Actor, CreatedAt: a.Now().UTC(),
		})
	}
	h := b.Health
	h.State, h.Since = plane.BackendDeploying, a.Now().UTC()
	h.Reason = fmt.Sprintf("adding it was %s: %s; backend add again continues", state, reason)
	return tx.SetHealth(ctx, b.ID, h)
}
