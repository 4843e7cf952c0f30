package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// seen is one answer of the entry.
type seen struct {
	sent, done time.Time
	server     string
	release    string
	failed     bool
}

// watcher asks the entry all the time, on a fresh connection each, and keeps
// what it saw: whether a change is in force is the entry's word, not the panel's.
type watcher struct {
	url    string
	http   *http.Client
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	all  []seen
	more chan struct{} // closed and replaced with each answer
}

const watchPace = 3 * time.Millisecond

func watch(ctx context.Context, url string) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{
		url: url, cancel: cancel, ended: make(chan struct{}), more: make(chan struct{}),
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	go w.run(ctx)
	return w
}

func (w *watcher) stop() {
	w.cancel()
	<-w.ended
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.ended)
	tick := time.NewTicker(watchPace)
	defer tick.Stop()
	for {
		s := w.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.all = append(w.all, s)
		close(w.more)
		w.more = make(chan struct{})
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *watcher) ask(ctx context.Context) seen {
	s := seen{sent: time.Now(), failed: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return s
	}
	resp, err := w.http.Do(req)
	if err != nil {
		s.done = time.Now()
		return s
	}
	defer resp.Body.Close()
	var about struct{ Server, Release string }
	err = json.NewDecoder(resp.Body).Decode(&about)
	s.done, s.server, s.release = time.Now(), about.Server, about.Release
	s.failed = err != nil || resp.StatusCode != http.StatusOK
	return s
}

// after returns the first n answers to requests sent after a moment.
func (w *watcher) after(ctx context.Context, moment time.Time, n int) ([]seen, error) {
	for {
		w.mu.Lock()
		found, more := sentAfter(w.all, moment), w.more
		w.mu.Unlock()
		if len(found) >= n {
			return found[:n], nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-more:
		}
	}
}

func sentAfter(all []seen, moment time.Time) []seen {
	for i := len(all); i > 0; i-- {
		if !all[i-1].sent.After(moment) {
			return append([]seen(nil), all[i:]...)
		}
	}
	return append([]seen(nil), all...)
}

// failures counts what was not answered with 200.
func (w *watcher) failures() (failed, asked int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.all {
		if s.failed {
			failed++
		}
	}
	return failed, len(w.all)
}
