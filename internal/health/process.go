package health

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// How often each server is asked about the processes of its apps, all in one
// look, and how many servers are asked at once.
const (
	processPace   = time.Second
	processEvery  = 20 * time.Second
	processAtOnce = 32
)

// TopicProcesses is the hint that an app's processes were seen.
const TopicProcesses = "processes"

// Processes keeps how the processes of all apps are seen on their servers.
type Processes struct {
	Config
	on probe.Executor
}

// NewProcesses returns a keeper of processes; it starts nothing.
func NewProcesses(c Config, on probe.Executor) *Processes { return &Processes{Config: c, on: on} }

// beat is what belongs on one server.
type beat struct {
	server plane.Server
	sights []probe.Sight
}

// Run looks until ctx ends and every look has come back.
func (k *Processes) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer looks.Wait()
	var busy sync.Map
	next := map[string]time.Time{}
	slots := make(chan struct{}, processAtOnce)
	tick := time.NewTicker(processPace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		beats, err := k.beats(ctx, "")
		if err != nil && ctx.Err() == nil {
			k.Log.Error("list processes to look at", "err", err)
		}
		for _, b := range beats {
			if k.Now().Before(next[b.server.ID]) {
				continue
			}
			select {
			case slots <- struct{}{}:
			default:
				continue // all hands busy: it stays due
			}
			if _, under := busy.LoadOrStore(b.server.ID, true); under {
				<-slots
				continue
			}
			next[b.server.ID] = k.Now().Add(processEvery - rand.N(processEvery/10))
			looks.Go(func() {
				defer func() { busy.Delete(b.server.ID); <-slots }()
				if k.lease(ctx, b.server.ID) {
					k.look(ctx, b)
				}
			})
		}
	}
}

// lease keeps several panels on one database from asking the same server.
func (k *Processes) lease(ctx context.Context, id string) (mine bool) {
	err := k.Store.Write(ctx, func(tx *store.Tx) (err error) {
		mine, err = tx.Lease(ctx, "processes:"+id, k.Owner, k.Now().UTC(), 2*processEvery)
		return err
	})
	return err == nil && mine
}

// CheckProcesses looks at an app's processes on all its servers, now.
func (k *Processes) CheckProcesses(ctx context.Context, appID string) error {
	beats, err := k.beats(ctx, appID)
	if err != nil {
		return err
	}
	var looks sync.WaitGroup
	for _, b := range beats {
		looks.Go(func() { k.look(ctx, b) })
	}
	looks.Wait()
	return ctx.Err()
}

// beats lists what belongs where, of one app or of all.
func (k *Processes) beats(ctx context.Context, appID string) ([]beat, error) {
	var out []beat
	err := k.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		all, err := tx.AllProcesses(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		backends, err := tx.Backends(ctx)
		if err != nil {
			return err
		}
		names, err := appNames(ctx, tx)
		if err != nil {
			return err
		}
		at := map[string]int{}
		for _, b := range backends {
			if !b.Placed || b.Removing || appID != "" && b.AppID != appID {
				continue
			}
			for _, p := range plane.ProcessesOn(all, b.ServerID) {
				if p.AppID != b.AppID {
					continue
				}
				i, known := at[b.ServerID]
				if !known {
					s, err := tx.Server(ctx, b.ServerID)
					if err != nil {
						return err
					}
					i = len(out)
					at[b.ServerID], out = i, append(out, beat{server: s})
				}
				out[i].sights = append(out[i].sights, probe.Sight{Process: p, Units: recipe.UnitsOf(names[p.AppID], p)})
			}
		}
		return nil
	})
	return out, err
}

func appNames(ctx context.Context, tx *store.Tx) (map[string]string, error) {
	apps, err := tx.Apps(ctx)
	names := make(map[string]string, len(apps))
	for _, a := range apps {
		names[a.ID] = a.Name
	}
	return names, err
}

// look asks one server and stores what is seen; what cannot be seen is unknown.
func (k *Processes) look(ctx context.Context, b beat) {
	states, err := probe.Processes(ctx, k.on, recipe.Target(b.server), b.sights, k.Now().UTC())
	if ctx.Err() != nil {
		return
	}
	write := k.Store.Write(ctx, func(tx *store.Tx) error { return k.keep(ctx, tx, b, states, err) })
	if write != nil {
		k.Log.Error("record processes", "server", b.server.Name, "err", write)
		return
	}
	k.Hub.Publish(TopicProcesses)
}

// keep stores states, or that none could be seen, of what still belongs there: a
// Run may have moved it meanwhile.
func (k *Processes) keep(ctx context.Context, tx *store.Tx, b beat, states []plane.ProcessStatus, unseen error) error {
	for i, s := range b.sights {
		now, err := tx.Process(ctx, s.Process.AppID, s.Process.Name)
		if errors.Is(err, store.ErrNotFound) || err == nil && (now.ID != s.Process.ID || !now.RunsOn(b.server.ID)) {
			continue
		}
		if err != nil {
			return err
		}
		var seen plane.ProcessStatus
		if unseen == nil {
			seen = states[i]
		} else if seen, err = k.unseen(ctx, tx, now, b.server.ID, unseen); err != nil {
			return err
		}
		if err := tx.SetProcessStatus(ctx, seen); err != nil {
			return err
		}
	}
	return nil
}

func (k *Processes) unseen(ctx context.Context, tx *store.Tx, p plane.Process, serverID string, why error) (plane.ProcessStatus, error) {
	was := plane.ProcessStatus{ProcessID: p.ID, ServerID: serverID}
	all, err := tx.ProcessStatuses(ctx, p.AppID)
	for _, s := range all {
		if s.ProcessID == p.ID && s.ServerID == serverID {
			was = s
		}
	}
	return plane.UnseenProcess(was, "the panel could not look: "+why.Error(), k.Now().UTC()), err
}
