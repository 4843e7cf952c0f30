package auth

import (
	"sync"
	"time"
)

// Limiter lets each key do something a few times at once and then once in a
// while. It remembers a bounded number of keys: when there are more, the one
// closest to being free again is forgotten. Its methods may be called from any
// goroutine.
type Limiter struct {
	burst int
	every time.Duration
	most  int

	mu   sync.Mutex
	free map[string]time.Time // when a key has its whole burst again
}

// NewLimiter lets each key try burst times at once and once more after every;
// it remembers at most most keys.
func NewLimiter(burst int, every time.Duration, most int) *Limiter {
	return &Limiter{burst: burst, every: every, most: most, free: map[string]time.Time{}}
}

// Take counts one try and returns 0, or how long the key has to wait for one;
// then the try is not counted.
func (l *Limiter) Take(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.free[key]
	if at.Before(now) {
		at = now
	}
	if wait := at.Add(l.every).Sub(now) - time.Duration(l.burst)*l.every; wait > 0 {
		return wait
	}
	if _, known := l.free[key]; !known && len(l.free) >= l.most {
		l.forget(now)
	}
	l.free[key] = at.Add(l.every)
	return 0
}

// Return takes one try back: it was a rightful one.
func (l *Limiter) Return(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, known := l.free[key]; known {
		l.free[key] = at.Add(-l.every)
	}
}

// forget drops every key that is free again, or else the one that will be next.
func (l *Limiter) forget(now time.Time) {
	next := ""
	for key, at := range l.free {
		if !at.After(now) {
			delete(l.free, key)
			continue
		}
		if next == "" || at.Before(l.free[next]) {
			next = key
		}
	}
	if len(l.free) >= l.most {
		delete(l.free, next)
	}
}
