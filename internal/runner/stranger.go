package runner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// refuseStrangers tries to sign in, with everything right but the place, from a
// managed server that has no business with the database. One that is let in is an
// error; where no such server reaches the primary, nothing is proven.
func (j *job) refuseStrangers(ctx context.Context, d plane.Database, c crew) error {
	engine, err := j.engineOf(ctx, d)
	if err != nil {
		return err
	}
	strangers, err := j.strangers(ctx, d)
	if err != nil {
		return err
	}
	proof := plane.Proof{Verdict: plane.Blind, At: j.Now().UTC(), Answer: "no other managed server reaches the primary to try from; add one that is no backend of " + c.app.Name}
	for _, s := range strangers {
		if !j.reaches(ctx, s, c.primary().Server) {
			continue
		}
		if proof, err = j.tryStranger(ctx, d, engine, s, c.primary().Server); err != nil {
			return err
		}
		if proof.Verdict != plane.Blind {
			break
		}
	}
	if err := j.Store.Write(ctx, func(tx *store.Tx) error { return tx.SetStranger(ctx, d.ID, proof) }); err != nil {
		return err
	}
	switch proof.Verdict {
	case plane.Pass:
		return fmt.Errorf("database %s let a stranger in: %s, which is no backend of %s, signed in; %s", d.Name, proof.Vantage, c.app.Name, letInBy(d.Engine))
	case plane.Fail:
		j.say("", "a stranger is refused by database %s: %s: %s", d.Name, proof.Vantage, proof.Answer)
	default:
		j.say("", "warning: not proven that strangers are refused by database %s: %s", d.Name, proof.Answer)
	}
	return nil
}

// letInBy says where to look when somebody is let in who has no grant: ServerPlane's own lines
// and accounts let in none but backends, and what else there is of its accounts is dropped.
func letInBy(e plane.Engine) string {
	what := "a line of pg_hba.conf above ServerPlane's part"
	if e == plane.MariaDB {
		what = "skip-grant-tables in its configuration"
	}
	return "see what lets it in (" + what + ", or a proxy or NAT by which it comes from a backend's address), take that away and try again"
}

// strangers lists the servers in work that have nothing to do with the app: one
// that is about to become its backend may be let in at any moment.
func (j *job) strangers(ctx context.Context, d plane.Database) (out []plane.Server, err error) {
	err = j.Store.Read(ctx, func(tx *store.Tx) error {
		backends, err := tx.BackendsOf(ctx, d.AppID)
		if err != nil {
			return err
		}
		known := map[string]bool{d.ServerID: true}
		for _, b := range backends {
			known[b.ServerID] = true
		}
		all, err := tx.Servers(ctx)
		out = slices.DeleteFunc(all, func(s plane.Server) bool { return known[s.ID] || s.State != plane.ServerReady })
		return err
	})
	return out, err
}

// reaches tells whether a server has a way to the primary at all, by its SSH
// port: silence of the database is a refusal only then.
func (j *job) reaches(ctx context.Context, from, primary plane.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := recipe.InnerTarget(primary)
	conn, err := j.Pool.Dial(ctx, recipe.Target(from), netip.AddrPortFrom(primary.PrivateAddress, uint16(t.Port)).String())
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// tryStranger tries encrypted and in the clear, either of which might be let in: at
// once, since where a firewall swallows what comes each waits for its whole time.
func (j *job) tryStranger(ctx context.Context, d plane.Database, engine plane.DatabaseServer, from, primary plane.Server) (plane.Proof, error) {
	at := netip.AddrPortFrom(primary.PrivateAddress, uint16(engine.Port))
	if !engine.TLS {
		return j.login(ctx, from, d, at, false)
	}
	var plain plane.Proof
	var failed error
	var beside sync.WaitGroup
	beside.Go(func() { plain, failed = j.login(ctx, from, d, at, false) })
	encrypted, err := j.login(ctx, from, d, at, true)
	beside.Wait()
	return worse(plain, encrypted), errors.Join(failed, err)
}

// worse of two attempts to get in: one that got in, then one that proves nothing.
func worse(a, b plane.Proof) plane.Proof {
	if b.Verdict == plane.Pass || a.Verdict == plane.Fail {
		return b
	}
	return a
}
