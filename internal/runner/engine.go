package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/authority"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// Settings of the panel's authority for databases.
const (
	settingAuthority    = "database_authority"
	settingAuthorityKey = "database_authority_key"
)

// authority opens the panel's authority for databases, or makes it with the
// first database.
func (r *Runner) authority(ctx context.Context) (authority.Pair, error) {
	var p authority.Pair
	err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		p.Certificate, err = tx.Setting(ctx, settingAuthority)
		if errors.Is(err, store.ErrNotFound) {
			p, err = r.makeAuthority(ctx, tx)
			return err
		}
		if err != nil {
			return err
		}
		sealed, err := tx.Setting(ctx, settingAuthorityKey)
		if err != nil {
			return err
		}
		p.Key, err = r.Box.Unseal(sealed, plane.SealAuthority())
		return err
	})
	if err != nil {
		return p, fmt.Errorf("open the authority for databases: %w", err)
	}
	return p, nil
}

func (r *Runner) makeAuthority(ctx context.Context, tx *store.Tx) (authority.Pair, error) {
	p, err := authority.New("ServerPlane "+r.PanelID, r.Now())
	if err != nil {
		return p, err
	}
	sealed, err := r.Box.Seal(p.Key, plane.SealAuthority())
	if err != nil {
		return p, err
	}
	return p, errors.Join(tx.SetSetting(ctx, settingAuthority, p.Certificate), tx.SetSetting(ctx, settingAuthorityKey, sealed))
}

// certify makes sure that the engine is in the book, with a certificate for the
// server's addresses.
func (j *job) certify(ctx context.Context, s plane.Server, e plane.Engine) error {
	ours, err := j.authority(ctx)
	if err != nil {
		return err
	}
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.DatabaseServer(ctx, s.ID, e)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		at := []netip.Addr{s.PrivateAddress, netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		pair, err := ours.Issue(string(e)+" on "+s.Name, at, j.Now())
		if err != nil {
			return err
		}
		sealed, err := j.Box.Seal(pair.Key, plane.SealCertificate(s.ID, e))
		if err != nil {
			return err
		}
		return tx.SetDatabaseServer(ctx, plane.DatabaseServer{ServerID: s.ID, Engine: e, Port: e.Port(), Certificate: pair.Certificate, Key: sealed})
	})
}

// engineOrder says what is special about bringing an engine to its state.
type engineOrder struct {
	fresh   string // id of the database whose password is new
	gone    string // id of the database that must go away; others that are on their way do if they can
	restart bool   // a person agreed to one
}

// bringEngine brings an engine to the whole of what the book says, as it is now,
// and keeps what the engine turned out to be. Two of them at once do no harm:
// the server refuses the older state (docs/adr/0014).
func (j *job) bringEngine(ctx context.Context, s plane.Server, e plane.Engine, o engineOrder) error {
	if err := j.certify(ctx, s, e); err != nil {
		return err
	}
	ours, err := j.authority(ctx)
	if err != nil {
		return err
	}
	state := recipe.EngineState{Run: j.run.ID, Server: s, CA: ours.Certificate, MayRestart: o.restart}
	err = j.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if state.Engine, err = tx.DatabaseServer(ctx, s.ID, e); err != nil {
			return err
		}
		state.Guests, err = j.guests(ctx, tx, s.ID, e, o)
		return err
	})
	if err != nil {
		return err
	}
	if state.Key, err = j.Box.Unseal(state.Engine.Key, plane.SealCertificate(s.ID, e)); err != nil {
		return fmt.Errorf("open the certificate's key: %w", err)
	}
	play, err := recipe.Engine(state)
	if err != nil {
		return err
	}
	if err := j.play(ctx, play); err != nil {
		return err
	}
	return j.keepFacts(ctx, s, e)
}

// guests lists the engine's databases with who may connect: who has access by
// the book, but for backends whose process is gone. One whose removal has begun
// goes with whatever Run comes along: none must make it anew.
func (j *job) guests(ctx context.Context, tx *store.Tx, serverID string, e plane.Engine, o engineOrder) ([]recipe.Guest, error) {
	all, err := tx.DatabasesOn(ctx, serverID)
	if err != nil {
		return nil, err
	}
	var out []recipe.Guest
	for _, d := range all {
		if d.Engine != e {
			continue
		}
		g := recipe.Guest{
			Database: d, Fresh: d.ID == o.fresh || d.State == plane.DatabaseCreating,
			Gone: d.State == plane.DatabaseRemoving, Must: d.ID == o.gone,
		}
		if g.Password, err = j.password(d); err != nil {
			return nil, err
		}
		if g.Other, err = j.otherPassword(d); err != nil {
			return nil, err
		}
		if g.Addresses, err = addressesOf(ctx, tx, d); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

func (r *Runner) password(d plane.Database) (string, error) { return r.opened(d, d.Password) }

// opened opens one of the database's sealed passwords.
func (r *Runner) opened(d plane.Database, sealed []byte) (string, error) {
	raw, err := r.Box.Unseal(sealed, plane.SealDatabase(d.ID))
	if err != nil {
		return "", fmt.Errorf("open the password of %s: %w", d.Name, err)
	}
	return string(raw), nil
}

func addressesOf(ctx context.Context, tx *store.Tx, d plane.Database) ([]netip.Addr, error) {
	access, err := tx.AccessTo(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range access {
		b, err := tx.Backend(ctx, a.BackendID)
		if err != nil {
			return nil, err
		}
		if b.Removing && !b.Placed || slices.Contains(out, a.Address) {
			continue
		}
		out = append(out, a.Address)
	}
	return out, nil
}

// learnedMark begins a line by which a step tells what it found (say_fact of
// playbooks/steps/database.py); JSON follows.
const learnedMark = "learned: "

// engineFacts is what an engine says of itself.
type engineFacts struct {
	Port           int    `json:"port"`
	Version        string `json:"version"`
	Open           bool   `json:"open"`
	TLS            bool   `json:"tls"`
	MaxConnections int    `json:"max_connections"`
	Reserved       int    `json:"reserved"`
}

// learn takes what a step found out of its output.
func (j *job) learn(server, line string) bool {
	text, is := strings.CutPrefix(strings.TrimSpace(line), learnedMark)
	if is {
		j.learned[server] = text
	}
	return is
}

// keepFacts writes what the engine turned out to be. Variables say whether it
// offers TLS, so that a change of that is one of theirs.
func (j *job) keepFacts(ctx context.Context, s plane.Server, e plane.Engine) error {
	var f engineFacts
	if err := json.Unmarshal([]byte(j.learned[s.Name]), &f); err != nil {
		return fmt.Errorf("read what %s on %s is: %w", e.Title(), s.Name, err)
	}
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.DatabaseServer(ctx, s.ID, e)
		if err != nil {
			return err
		}
		changed := !now.SeenAt.IsZero() && (now.TLS != f.TLS || now.Port != f.Port)
		now.Port, now.Version, now.Open, now.TLS, now.MaxConnections, now.Reserved = f.Port, f.Version, f.Open, f.TLS, f.MaxConnections, f.Reserved
		now.SeenAt = j.Now().UTC()
		if err := tx.SetDatabaseServer(ctx, now); err != nil || !changed {
			return err
		}
		return reviseAll(ctx, tx, s.ID, e)
	})
}

func reviseAll(ctx context.Context, tx *store.Tx, serverID string, e plane.Engine) error {
	all, err := tx.DatabasesOn(ctx, serverID)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Engine != e {
			continue
		}
		d.Revision++
		if err := tx.UpdateDatabase(ctx, d); err != nil {
			return err
		}
	}
	return nil
}
