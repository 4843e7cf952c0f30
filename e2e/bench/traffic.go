package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
)

// How often each change is made, and how many answers are looked at after it.
const (
	toggles    = 30 // each off and on
	methods    = 30
	slotMoves  = 40
	lookedAt   = 12
	forceLimit = 800 // ms
	slotLimit  = 50  // ms
	shop       = "shop"
)

// inForce is how long changes took, and what the entry said afterwards.
type inForce struct {
	took         sample // until the call returned
	visible      sample // until the entry's answers showed it, where that is one moment
	contradicted int    // answers to requests sent afterwards that were still the old way
	checked      int
}

// traffic measures until when a change of traffic is in force.
func (b *bench) traffic(ctx context.Context, t *trio) error {
	if err := b.openShop(ctx, t); err != nil {
		return err
	}
	w := watch(ctx, "http://"+t.primary().Addr.String()+"/")
	defer w.stop()
	toggled, err := t.toggle(ctx, w)
	if err != nil {
		return err
	}
	changed, err := t.changeMethod(ctx, w)
	if err != nil {
		return err
	}
	moved, err := t.moveSlots(ctx, w)
	if err != nil {
		return err
	}
	failed, asked := w.failures()
	b.topics = append(b.topics, trafficTopic(toggled, changed, moved, failed, asked))
	return nil
}

// openShop puts the example app on all three servers, twice, so that both slots
// hold a release.
func (b *bench) openShop(ctx context.Context, t *trio) error {
	repository, err := lab.NewRepository(filepath.Join(t.dir, shop), filepath.Join("examples", "nodejs"))
	if err != nil {
		return err
	}
	err = t.steps(ctx,
		[]string{"app", "create", shop, "--server", "s1", "--kind", "nodejs", "--repo", repository.URL(), "--option", "drain=1s", "--wait"},
		[]string{"lb", "enable", shop, "--yes", "--wait"},
		[]string{"backend", "add", shop, "s2", "--wait"},
		[]string{"backend", "add", shop, "s3", "--wait"})
	if err != nil {
		return err
	}
	if err := repository.Write("VERSION", "2\n"); err != nil {
		return err
	}
	if _, err := repository.Commit("a second release"); err != nil {
		return err
	}
	return t.steps(ctx, []string{"deploy", shop, "--wait"})
}

// toggle takes s3 off and on again.
func (t *trio) toggle(ctx context.Context, w *watcher) (inForce, error) {
	var f inForce
	for n := range 2 * toggles {
		on := n%2 == 1
		wish := func() (client.Steered, error) { return t.api.SwitchBackendOff(ctx, shop, "s3", client.BackendOff{}) }
		if on {
			wish = func() (client.Steered, error) { return t.api.SwitchBackendOn(ctx, shop, "s3") }
		}
		shows := func(by map[string]int) bool { return by["s3"] > 0 == on }
		if err := f.change(ctx, w, wish, shows); err != nil {
			return f, err
		}
	}
	return f, nil
}

// changeMethod goes from round robin, which shows itself by three servers in a
// row, to IP hash, which shows itself by one, and back.
func (t *trio) changeMethod(ctx context.Context, w *watcher) (inForce, error) {
	var f inForce
	for n := range methods {
		method, wanted := "ip-hash", 1
		if n%2 == 1 {
			method, wanted = "round-robin", len(t.servers)
		}
		wish := func() (client.Steered, error) {
			return t.api.SetBalancer(ctx, shop, client.BalancerChange{Method: &method})
		}
		shows := func(by map[string]int) bool { return len(by) == wanted }
		if err := f.change(ctx, w, wish, shows); err != nil {
			return f, err
		}
	}
	return f, nil
}

// change times one call of the API, and then looks at the entry's next answers.
func (f *inForce) change(ctx context.Context, w *watcher, wish func() (client.Steered, error), shows func(by map[string]int) bool) error {
	begin := time.Now()
	steered, err := wish()
	returned := time.Now()
	if err != nil {
		return err
	}
	if !steered.InForce {
		return fmt.Errorf("the call returned before the change was in force: %s", steered.Reason)
	}
	answers, err := w.after(ctx, returned, lookedAt)
	if err != nil {
		return err
	}
	f.took.add(returned.Sub(begin))
	f.checked++
	if !shows(served(answers)) {
		f.contradicted++
	}
	return nil
}

func served(answers []seen) map[string]int {
	by := map[string]int{}
	for _, a := range answers {
		by[a.server]++
	}
	return by
}

// moveSlots calls the server's own switch over a held SSH connection, as a
// deployment does, with a process in both slots of every backend.
func (t *trio) moveSlots(ctx context.Context, w *watcher) (f inForce, err error) {
	live, err := t.startBothSlots(ctx)
	if err != nil {
		return f, err
	}
	pool, target, err := t.hold(ctx)
	if err != nil {
		return f, err
	}
	runCtx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(runCtx) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()
	if err := pool.Check(ctx, target); err != nil {
		return f, err
	}
	slot := live
	for range slotMoves {
		slot = other(slot)
		if err := f.move(ctx, pool, target, slot, w); err != nil {
			return f, err
		}
	}
	return f, nil
}

// move switches once and waits for the first answer of the other release.
func (f *inForce) move(ctx context.Context, pool *remote.Pool, target remote.Target, slot string, w *watcher) error {
	before, err := w.after(ctx, time.Now(), 1)
	if err != nil {
		return err
	}
	begin := time.Now()
	out, err := pool.Switch(ctx, target, shop, slot)
	if err != nil {
		return err
	}
	returned := time.Now()
	if out.Result != remote.Applied {
		return fmt.Errorf("switch to %s: %s %s", slot, out.Result, out.Message)
	}
	afterwards, err := w.after(ctx, returned, lookedAt)
	if err != nil {
		return err
	}
	f.took.add(returned.Sub(begin))
	f.checked++
	if slices.ContainsFunc(afterwards, func(a seen) bool { return a.release == before[0].release }) {
		f.contradicted++
	}
	all, err := w.after(ctx, begin, 1)
	for n := 2; err == nil; n++ { // there is one among those looked at afterwards
		if last := all[len(all)-1]; last.release != before[0].release {
			f.visible.add(last.done.Sub(begin))
			return nil
		}
		all, err = w.after(ctx, begin, n)
	}
	return err
}

// startBothSlots starts the old slot again on every backend and returns which
// one is live.
func (t *trio) startBothSlots(ctx context.Context) (string, error) {
	list, err := t.panel.CLI(ctx, "deployment", "list", shop, "-o", "json")
	if err != nil {
		return "", err
	}
	live := "a"
	if _, after, found := strings.Cut(strings.ReplaceAll(list, " ", ""), `"slot":"`); found {
		live = after[:1] // newest first
	}
	unit := "sp-" + shop + "-" + other(live)
	for _, s := range t.servers {
		if _, err := s.SSH(ctx, "systemctl start "+unit+" && sleep 2 && systemctl is-active "+unit, nil); err != nil {
			return "", err
		}
	}
	return live, nil
}

func other(slot string) string {
	if slot == "a" {
		return "b"
	}
	return "a"
}

// hold prepares a held connection to the primary, signed in as the panel does.
func (t *trio) hold(ctx context.Context) (*remote.Pool, remote.Target, error) {
	s := t.primary()
	signer, err := panelKey(ctx, t.panel.Dir)
	if err != nil {
		return nil, remote.Target{}, err
	}
	key, err := hostKey(s)
	target := remote.Target{ID: s.Name, Address: s.Addr.String(), User: files.Login, HostKey: key}
	return remote.NewPool(signer, slog.New(slog.DiscardHandler)), target, err
}

// panelKey opens the panel's own key in its data folder.
func panelKey(ctx context.Context, dir string) (ssh.Signer, error) {
	box, err := secret.Open(filepath.Join(dir, "secret.key"))
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "serverplane.db")})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // nothing was written
	var sealed []byte
	err = s.Read(ctx, func(tx *store.Tx) (err error) {
		sealed, err = tx.Setting(ctx, "panel_key")
		return err
	})
	if err != nil {
		return nil, err
	}
	raw, err := box.Unseal(sealed, plane.SealPanelKey())
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(raw)
}

// hostKey is the key the server shows, in authorized_keys form.
func hostKey(s *fleet.Server) (string, error) {
	raw, err := os.ReadFile(filepath.Join(s.Root(), "etc/ssh/ssh_host_ed25519_key.pub"))
	if err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(string(raw))[:2], " "), nil
}

func trafficTopic(toggled, changed, moved inForce, failed, asked int) topic {
	t := topic{
		title: "Until a change of traffic is in force",
		how: fmt.Sprintf("One app on three servers. The API is called and returns when the change is in force; then the entry itself is asked: "+
			"%d answers to requests sent afterwards must all show the change. The announcement of a reload takes 300 ms of each toggle and change of method. A slot is switched "+
			"by the server's own program over a held SSH connection, as a deployment does. Meanwhile one visitor asked the entry every %s on fresh connections.", lookedAt, watchPace),
		rows: []row{
			latency("`backend off` and `backend on`, until the call returns", toggled.took, forceLimit, "p95 under 800 ms"),
			latency("`lb set --method`, until the call returns", changed.took, forceLimit, "p95 under 800 ms"),
			latency("slot switch, until the call returns", moved.took, slotLimit, "p95 under 50 ms"),
			latency("slot switch, until the first answer of the other slot has arrived", moved.visible, slotLimit, "p95 under 50 ms"),
		},
	}
	contradicted := toggled.contradicted + changed.contradicted + moved.contradicted
	t.rows = append(t.rows,
		row{what: "looks at the entry afterwards that contradicted", figure: fmt.Sprintf("%d of %d", contradicted, toggled.checked+changed.checked+moved.checked), target: "none", met: contradicted == 0},
		row{what: "requests of the visitor that were not answered 200", figure: fmt.Sprintf("%d of %d", failed, asked), target: "none", met: failed == 0})
	return t
}
