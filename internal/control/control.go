// Package control holds the verbs a person can do, for every door alike. A
// verb checks the wish, lets the domain decide, and writes desired state, a
// Run and an audit line in one transaction; it never works on a server itself.
package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

// Surveyor looks at servers; it is the one thing a verb may ask outside the
// panel, because a person waits for the answer.
type Surveyor interface {
	HostKey(ctx context.Context, address netip.Addr, port int) (plane.HostKey, error)
	Look(ctx context.Context, e plane.Entrance) (plane.Survey, error)
	Install(ctx context.Context, e plane.Entrance) error
	Survey(ctx context.Context, s plane.Server) (plane.Survey, error)
}

// Checker asks one backend how it is, now.
type Checker interface {
	Check(ctx context.Context, backendID string) (plane.Probe, error)
}

// Repositories reads a repository that belongs to no app yet; a person waits for it.
type Repositories interface {
	Look(ctx context.Context, address, branch string, inside func(path string) bool) ([]string, map[string]string, error)
}

// Config is what Control works with.
type Config struct {
	Store    *store.Store
	Box      *secret.Box
	Hub      *stream.Hub
	Surveyor Surveyor
	Now      func() time.Time
	PanelID  string
	PanelKey string // authorized_keys form
	Insecure bool   // let http, git and file repositories through
	Checker  Checker
	Logs     LogReader
	Seer     ProcessChecker
	Engines  DatabaseLooker // nil: what an engine says now is not known
	Patience time.Duration  // how long a verb about traffic waits until it is in force; 0 means 10 s
	Log      *slog.Logger
	Kinds    plane.Kinds
	Sources  Repositories
	Verify   func(hash, password string) (bool, error) // nil means auth.VerifyPassword
}

// Control carries the verbs.
type Control struct {
	store    *store.Store
	box      *secret.Box
	hub      *stream.Hub
	surveyor Surveyor
	now      func() time.Time
	panelID  string
	panelKey string
	insecure bool
	checker  Checker
	logs     LogReader
	seer     ProcessChecker
	engines  DatabaseLooker
	looks    looks
	patience time.Duration
	log      *slog.Logger
	kinds    plane.Kinds
	sources  Repositories
	door     *door
}

// New returns the verbs; it starts nothing.
func New(c Config) *Control {
	return &Control{
		store: c.Store, box: c.Box, hub: c.Hub, surveyor: c.Surveyor, now: c.Now,
		panelID: c.PanelID, panelKey: c.PanelKey, insecure: c.Insecure, log: c.Log, checker: c.Checker, seer: c.Seer, logs: c.Logs, patience: cmp.Or(c.Patience, 10*time.Second),
		engines: c.Engines, looks: looks{last: map[string]plane.DatabaseLook{}}, door: newDoor(c), kinds: c.Kinds, sources: c.Sources,
	}
}

// TopicQueue is the hint that a Run was queued, or a lock became free.
const TopicQueue = "queue"

// TopicRun names the hint that a Run or its log changed.
func TopicRun(id string) string { return "run:" + id }

// TopicCancel names the hint that someone asked a Run to stop.
func TopicCancel(id string) string { return "cancel:" + id }

// TopicTree names the hint that a server's desired Nginx tree changed.
const TopicTree = "tree"

// TopicSettled names the hint that a server's tree came into force or was refused.
func TopicSettled(serverID string) string { return "settled:" + serverID }

// change runs one verb's transaction and writes who did it.
func (c *Control) change(ctx context.Context, actor plane.Actor, action, subject string, fn func(tx *store.Tx) error) error {
	return c.changeNoting(ctx, actor, action, subject, func(tx *store.Tx) (string, error) { return "", fn(tx) })
}

// changeNoting is change with more about it for the audit log: from what to
// what, what was acknowledged, what was written off. Never a secret.
func (c *Control) changeNoting(ctx context.Context, actor plane.Actor, action, subject string, fn func(tx *store.Tx) (string, error)) error {
	return c.store.Write(ctx, func(tx *store.Tx) error {
		detail, err := fn(tx)
		if err != nil {
			return err
		}
		return c.audit(ctx, tx, actor, action, subject, detail)
	})
}

func (c *Control) audit(ctx context.Context, tx *store.Tx, actor plane.Actor, action, subject, detail string) error {
	return tx.AppendAudit(ctx, plane.Audit{
		ID: plane.NewID(plane.PrefixAudit), Time: c.now().UTC(), UserID: actor.UserID, Email: actor.Email,
		From: actor.From, Action: action, Subject: subject, Detail: detail,
	})
}

// enqueue writes a Run for the actor; publish its hint after the transaction.
func (c *Control) enqueue(ctx context.Context, tx *store.Tx, actor plane.Actor, r plane.Run) (plane.Run, error) {
	r.ID, r.State, r.Actor, r.CreatedAt = plane.NewID(plane.PrefixRun), plane.RunQueued, actor.Email, c.now().UTC()
	if err := tx.Enqueue(ctx, r); err != nil {
		return plane.Run{}, fmt.Errorf("queue %s: %w", r.Kind, err)
	}
	return r, nil
}

// serverByName and appByName ask the store only for what can be a name: a byte
// that one database takes and another refuses must not make a difference.
func serverByName(ctx context.Context, tx *store.Tx, name string) (plane.Server, error) {
	if plane.CheckName("name", name) != nil {
		return plane.Server{}, plane.NotFound("server", name)
	}
	s, err := tx.ServerByName(ctx, name)
	return s, orNotFound(err, "server", name)
}

func appByName(ctx context.Context, tx *store.Tx, name string) (plane.App, error) {
	if plane.CheckName("name", name) != nil {
		return plane.App{}, plane.NotFound("app", name)
	}
	a, err := tx.AppByName(ctx, name)
	return a, orNotFound(err, "app", name)
}

func orNotFound(err error, noun, name string) error {
	if errors.Is(err, store.ErrNotFound) {
		return plane.NotFound(noun, name)
	}
	return err
}

// inField says which field of the wish an error is about.
func inField(field string, err error) error {
	told, ok := errors.AsType[*plane.Error](err)
	if !ok {
		return err
	}
	at := *told
	at.Field = field
	return &at
}
