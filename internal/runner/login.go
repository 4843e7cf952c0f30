package runner

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// loginLimit bounds one attempt to sign in.
const loginLimit = 8 * time.Second

// credentials are a name and a password to sign in with.
type credentials struct{ name, password string }

// login is one attempt from a seat's or a stranger's place, with what the
// database's processes are given.
func (j *job) login(ctx context.Context, from plane.Server, d plane.Database, at netip.AddrPort, encrypted bool) (plane.Proof, error) {
	password, err := j.password(d)
	if err != nil {
		return plane.Proof{}, err
	}
	return j.loginAs(ctx, from, d, credentials{d.Login(), password}, at, encrypted)
}

func (j *job) loginAs(ctx context.Context, from plane.Server, d plane.Database, c credentials, at netip.AddrPort, encrypted bool) (plane.Proof, error) {
	l := probe.Login{
		From: recipe.Target(from), FromName: from.Name, Engine: d.Engine, Address: at,
		Role: c.name, Database: d.Role(), Password: c.password, Timeout: loginLimit,
	}
	if encrypted {
		ours, err := j.authority(ctx)
		if err != nil {
			return plane.Proof{}, err
		}
		l.CA = ours.Certificate
	}
	return j.Prober.SignIn(ctx, l), nil
}

// databaseAt is where a seat reaches a database.
func databaseAt(engine plane.DatabaseServer, primary plane.Server, s recipe.Seat) netip.AddrPort {
	if s.Backend.Primary {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(engine.Port))
	}
	return netip.AddrPortFrom(primary.PrivateAddress, uint16(engine.Port))
}

func (j *job) engineOf(ctx context.Context, d plane.Database) (engine plane.DatabaseServer, err error) {
	err = j.Store.Read(ctx, func(tx *store.Tx) error {
		engine, err = tx.DatabaseServer(ctx, d.ServerID, d.Engine)
		return err
	})
	return engine, err
}

// proveSeats signs in from each seat's place with the database's own password.
func (j *job) proveSeats(ctx context.Context, d plane.Database, c crew, seats []recipe.Seat) error {
	engine, err := j.engineOf(ctx, d)
	if err != nil {
		return err
	}
	return joined(eachSeat(seats, func(s recipe.Seat) error {
		proof, err := j.login(ctx, s.Server, d, databaseAt(engine, c.primary().Server, s), engine.TLS)
		if err != nil {
			return err
		}
		return j.keepProof(ctx, d, s, proof)
	}))
}

// keepProof notes how a seat's attempt ended; one that was not let in is an error.
func (j *job) keepProof(ctx context.Context, d plane.Database, s recipe.Seat, proof plane.Proof) error {
	err := j.Store.Write(ctx, func(tx *store.Tx) error {
		access, err := tx.AccessTo(ctx, d.ID)
		if err != nil {
			return err
		}
		for _, a := range access {
			if a.BackendID == s.Backend.ID {
				a.Proof = proof
				return tx.SetAccess(ctx, a)
			}
		}
		return fmt.Errorf("%s may not connect to %s by the book", s.Server.Name, d.Name)
	})
	if err != nil {
		return err
	}
	if proof.Verdict != plane.Pass {
		return fmt.Errorf("%s cannot sign in to database %s: %s", s.Server.Name, d.Name, proof.Answer)
	}
	j.say(s.Server.Name, "signed in to database %s in %s, %s", d.Name, proof.Latency, encryption(proof))
	return nil
}

func encryption(p plane.Proof) string {
	if p.TLS == "" {
		return "not encrypted"
	}
	return "encrypted with " + p.TLS
}
