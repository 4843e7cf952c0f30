// Package stream carries wake-up hints between goroutines: "topic X changed",
// nothing more. Whoever is woken reads the store, which alone is the truth; so
// a hint may be merged with another, and one lost to a restart costs nothing.
package stream

import "sync"

// Hub passes hints from publishers to subscribers. Its methods may be called
// from any goroutine and none of them waits.
type Hub struct {
	mu     sync.Mutex
	topics map[string]map[chan struct{}]struct{}
}

// New returns an empty Hub.
func New() *Hub {
	return &Hub{topics: map[string]map[chan struct{}]struct{}{}}
}

// Publish wakes every subscriber of topic. A subscriber that has not looked
// since its last hint gets no second one.
func (h *Hub) Publish(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for woken := range h.topics[topic] {
		select {
		case woken <- struct{}{}:
		default: // a hint is waiting already
		}
	}
}

// Subscribe returns a channel that receives after any of the topics was
// published, and a function that ends the subscription. Subscribe first, then
// read the store: so no change falls between. The channel is never closed; the
// function may be called more than once.
func (h *Hub) Subscribe(topics ...string) (<-chan struct{}, func()) {
	woken := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		if h.topics[t] == nil {
			h.topics[t] = map[chan struct{}]struct{}{}
		}
		h.topics[t][woken] = struct{}{}
	}
	return woken, func() { h.drop(woken, topics) }
}

func (h *Hub) drop(woken chan struct{}, topics []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		delete(h.topics[t], woken)
		if len(h.topics[t]) == 0 {
			delete(h.topics, t)
		}
	}
}
