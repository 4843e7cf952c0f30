// Package traffic reads the logs of entries in the background and keeps who
// served what: for each backend how many requests, how many errors and how fast,
// by minutes. Nothing about a visitor reaches the panel. A log that cannot be read leaves
// the figures as they are, with the time and the reason.
package traffic

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

// Executor runs a program on a server.
type Executor interface {
	Exec(ctx context.Context, t remote.Target, cmd remote.Command) (remote.Result, error)
}

// Config is what a Reader works with.
type Config struct {
	Store    *store.Store
	Hub      *stream.Hub
	Executor Executor
	Now      func() time.Time
	Owner    string        // this panel instance
	Every    time.Duration // between two looks at a server; 0: 10 s
	Log      *slog.Logger
}

// Reader reads the logs of all entries.
type Reader struct {
	Config
	mu   sync.Mutex
	busy map[string]bool // by server
	all  sync.WaitGroup
}

const (
	every    = 10 * time.Second
	leaseFor = time.Minute // longer than the longest look
	catchUp  = 8           // looks in a row at a log that is behind
)

// TopicServed is the hint that something new was read.
const TopicServed = "served"

// New returns a Reader; it starts nothing.
func New(c Config) *Reader {
	if c.Every == 0 {
		c.Every = every
	}
	return &Reader{Config: c, busy: map[string]bool{}}
}

// Run reads until ctx ends and every look has come back.
func (r *Reader) Run(ctx context.Context) error {
	defer r.all.Wait()
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for {
		r.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round begins a look at every primary that has none under way.
func (r *Reader) round(ctx context.Context) {
	primaries, err := r.primaries(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Error("list the entries whose logs are to be read", "err", err)
		}
		return
	}
	for _, p := range primaries {
		if !r.begin(p.server.ID) {
			continue
		}
		r.all.Go(func() {
			defer r.end(p.server.ID)
			r.read(ctx, p)
		})
	}
}

func (r *Reader) begin(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	free := !r.busy[id]
	r.busy[id] = true
	return free
}

func (r *Reader) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, id)
}

// primary is a server with entries, and who may be asked by them.
type primary struct {
	server plane.Server
	logs   []reading
}

// reading is the log of one app's entry.
type reading struct {
	app      plane.App
	backends map[string]string // ids by address, of either slot
	log      plane.EntryLog
}

func (r *Reader) primaries(ctx context.Context) ([]primary, error) {
	var apps []plane.App
	var servers []plane.Server
	var backends []plane.Backend
	err := r.Store.Read(ctx, func(tx *store.Tx) error {
		var errs [3]error
		apps, errs[0] = tx.Apps(ctx)
		servers, errs[1] = tx.Servers(ctx)
		backends, errs[2] = tx.Backends(ctx)
		return errors.Join(errs[:]...)
	})
	if err != nil {
		return nil, err
	}
	of := map[string][]reading{}
	for _, a := range apps {
		if a.LiveSlot != "" && a.State != plane.AppRemoving {
			of[a.ServerID] = append(of[a.ServerID], reading{app: a, backends: addresses(a, servers, backends)})
		}
	}
	var all []primary
	for _, s := range servers {
		if len(of[s.ID]) > 0 {
			all = append(all, primary{server: s, logs: of[s.ID]})
		}
	}
	return all, nil
}

// addresses are where the entry of the app asks its backends.
func addresses(a plane.App, servers []plane.Server, backends []plane.Backend) map[string]string {
	at := map[string]string{}
	for _, b := range backends {
		i := slices.IndexFunc(servers, func(s plane.Server) bool { return s.ID == b.ServerID })
		if b.AppID != a.ID || i < 0 {
			continue
		}
		seat := recipe.Seat{Backend: b, Server: servers[i]}
		at[recipe.SiteAddress(seat, plane.SlotA).String()] = b.ID
		at[recipe.SiteAddress(seat, plane.SlotB).String()] = b.ID
	}
	return at
}

// read reads all logs of one server, some at a time, each until there is nothing new
// or others have waited long enough.
func (r *Reader) read(ctx context.Context, p primary) {
	for some := range slices.Chunk(p.logs, logsAtOnce) {
		for range catchUp {
			behind, err := r.once(ctx, p.server, some)
			if err != nil && ctx.Err() == nil {
				r.Log.Warn("read the logs of entries", "server", p.server.Name, "err", err)
			}
			if err != nil || len(behind) == 0 {
				break
			}
			some = behind
		}
	}
}

// once looks at some logs and records what was new; it returns those of which
// there is more. What was read from a place that is not the stored one any more
// counts for nothing: another panel, or a later life of this one, has read it.
func (r *Reader) once(ctx context.Context, s plane.Server, logs []reading) ([]reading, error) {
	mine, err := r.prepare(ctx, s, logs)
	if err != nil || !mine {
		return nil, err
	}
	answers, err := look(ctx, r.Executor, s, logs)
	if err != nil {
		return nil, r.failed(ctx, s, logs, err)
	}
	var behind []reading
	for i, a := range answers {
		if err := r.record(ctx, logs[i], a); err != nil {
			return nil, err
		}
		if a.Rest > 0 && a.Lines > 0 {
			behind = append(behind, logs[i])
		}
	}
	r.Hub.Publish(TopicServed)
	return behind, nil
}

// prepare takes the server's lease and loads how far its logs were read.
func (r *Reader) prepare(ctx context.Context, s plane.Server, logs []reading) (mine bool, err error) {
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		if mine, err = tx.Lease(ctx, "traffic:"+s.ID, r.Owner, r.Now().UTC(), leaseFor); err != nil || !mine {
			return err
		}
		for i := range logs {
			if logs[i].log, err = known(ctx, tx, logs[i].app.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return mine, err
}

// known is a log as it is stored, or one that was never read.
func known(ctx context.Context, tx *store.Tx, appID string) (plane.EntryLog, error) {
	l, err := tx.EntryLog(ctx, appID)
	if errors.Is(err, store.ErrNotFound) {
		return plane.EntryLog{AppID: appID}, nil
	}
	return l, err
}

// failed leaves the figures as they are and says why there are no newer ones.
func (r *Reader) failed(ctx context.Context, s plane.Server, logs []reading, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	why, _, _ := strings.Cut(cause.Error(), "\n")
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		for _, l := range logs {
			if err := r.fail(ctx, tx, l.app.ID, s.Name+": "+why); err != nil {
				return err
			}
		}
		return nil
	})
	r.Hub.Publish(TopicServed)
	return errors.Join(cause, err)
}

func (r *Reader) fail(ctx context.Context, tx *store.Tx, appID, reason string) error {
	l, err := known(ctx, tx, appID)
	if err != nil || l.Reason == reason {
		return err
	}
	if _, err := tx.App(ctx, appID); err != nil {
		return ignoreGone(err)
	}
	l.Reason = reason
	return tx.SetEntryLog(ctx, l, r.Now().UTC())
}

func ignoreGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil // removed while its log was read
	}
	return err
}
