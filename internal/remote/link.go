package remote

import "time"

// link is the pool's place for the connection to one Target; the pool's mutex guards it.
type link struct {
	target  Target
	line    *line    // the last connection, perhaps dead
	attempt *attempt // under way, or nil

	failure  error // of the last attempt
	failedAt time.Time
	wait     time.Duration // before the next attempt of our own accord
}

// attempt is one try to connect that several callers may wait for.
type attempt struct {
	done chan struct{}
	err  error // set before done is closed
}

func (k *link) connected(l *line) { k.line, k.failure, k.wait = l, nil, 0 }

func (k *link) fail(err error) {
	k.failure, k.failedAt = err, time.Now()
	k.wait = min(max(2*k.wait, backOffFirst), backOffMost)
}

// justFailed spares a server that cannot be reached one attempt per caller.
func (k *link) justFailed() bool { return k.failure != nil && time.Since(k.failedAt) < backOffFirst/2 }

// wantsRedial reports a connection that was held once, is gone, and whose waiting time is over. Wrong keys do not heal by
// trying, and trying looks like an attack to the server.
func (k *link) wantsRedial() bool {
	if k.line == nil || k.line.usable() || k.attempt != nil {
		return false
	}
	kind := KindOf(k.failure)
	return kind != KindAuth && kind != KindHostKey && time.Since(k.failedAt) >= k.wait
}
