package stream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHintsAreMergedAndNeverBlock(t *testing.T) {
	h := New()
	woken, stop := h.Subscribe("run:1", "run:2")
	defer stop()
	for range 100 {
		h.Publish("run:1")
		h.Publish("run:2")
		h.Publish("run:3")
	}
	<-woken
	select {
	case <-woken:
		t.Fatal("200 hints before a look must be one hint")
	default:
	}
	h.Publish("run:2")
	<-woken
}

func TestEndedSubscriptionHearsNothingAndLeavesNothing(t *testing.T) {
	h := New()
	woken, stop := h.Subscribe("a", "b", "a")
	stop()
	stop()
	h.Publish("a")
	if len(woken) != 0 {
		t.Error("woken after the end")
	}
	if len(h.topics) != 0 {
		t.Errorf("topics left behind: %v", h.topics)
	}
}

// A reader that reads the store after every hint ends with what was written
// last, however publishers and subscribers interleave.
func TestNoChangeIsMissed(t *testing.T) {
	h := New()
	const writers, writes, readers = 4, 500, 8
	var stored atomic.Int64
	var all sync.WaitGroup
	for r := range readers {
		all.Go(func() {
			topic := fmt.Sprintf("t%d", r%2)
			woken, stop := h.Subscribe(topic, "other")
			defer stop()
			for stored.Load() < writers*writes {
				select {
				case <-woken:
				case <-time.After(time.Minute):
					t.Errorf("reader %d was not woken at %d", r, stored.Load())
					return
				}
			}
		})
	}
	for range writers {
		all.Go(func() {
			for range writes {
				stored.Add(1)
				h.Publish("t0")
				h.Publish("t1")
			}
		})
	}
	all.Wait()
	if len(h.topics) != 0 {
		t.Errorf("topics left behind: %v", h.topics)
	}
}
