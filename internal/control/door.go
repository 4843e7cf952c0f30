package control

import (
	"context"
	"crypto/subtle"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
)

// How often somebody may try to come in: an address and a mail address each
// have some tries at once and then one in a while. What is remembered is bounded.
const (
	addressTries, addressEvery = 20, 6 * time.Second
	personTries, personEvery   = 5, 30 * time.Second
	rememberedTries            = 10_000
	verifiedAtOnce             = 2 // 64 MiB each
	refusalsKept, refusalEvery = 60, time.Minute
)

// door is what stands between a stranger and a session.
type door struct {
	addresses, people *auth.Limiter
	room              chan struct{} // one place for each password looked at
	verify            func(hash, password string) (bool, error)

	refusals *auth.Limiter // how many refused sign-ins the audit keeps, of all together

	mu    sync.Mutex
	setup string // hash of the token of this start, or empty
	quiet int    // refusals since the last one that was kept
}

func newDoor(c Config) *door {
	d := &door{
		addresses: auth.NewLimiter(addressTries, addressEvery, rememberedTries),
		people:    auth.NewLimiter(personTries, personEvery, rememberedTries),
		refusals:  auth.NewLimiter(refusalsKept, refusalEvery, 1),
		room:      make(chan struct{}, verifiedAtOnce), verify: c.Verify,
	}
	if d.verify == nil {
		d.verify = auth.VerifyPassword
	}
	return d
}

// knock counts a try before any work is done for it.
func (d *door) knock(from, person string, now time.Time) error {
	wait := d.addresses.Take(network(from), now)
	if wait == 0 && person != "" {
		wait = d.people.Take(person, now)
	}
	if wait == 0 {
		return nil
	}
	return &plane.Error{
		Code: plane.CodeRateLimited, Message: "too many tries",
		Hint: fmt.Sprintf("try again in %d s", int(math.Ceil(wait.Seconds()))),
	}
}

// welcome takes the tries back of somebody who knew the password.
func (d *door) welcome(from, person string) {
	d.addresses.Return(network(from))
	d.people.Return(person)
}

// knows looks at a password, few at once; hash is auth.Decoy for nobody.
func (d *door) knows(ctx context.Context, hash, password string) (bool, error) {
	select {
	case d.room <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-d.room }()
	return d.verify(hash, password)
}

// keeps tells whether a refusal goes into the audit, which nobody outside can
// fill that way, and how many before it did not.
func (d *door) keeps(now time.Time) (keep bool, left int) {
	keep = d.refusals.Take("all", now) == 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if !keep {
		d.quiet++
		return false, 0
	}
	left, d.quiet = d.quiet, 0
	return true, left
}

func (d *door) opens(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.setup != "" && subtle.ConstantTimeCompare([]byte(d.setup), []byte(auth.HashToken(token))) == 1
}

func (d *door) setToken(hash string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setup = hash
}

// network is what one visitor has of the net: an IPv4 address, or the /64 that
// a single IPv6 machine may draw its addresses from.
func network(from string) string {
	a, err := netip.ParseAddr(from)
	if err != nil {
		return "elsewhere"
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return "elsewhere"
	}
	return p.String()
}

// person is under which name tries for a mail address are counted.
func person(email string) string { return auth.HashToken(strings.ToLower(email)) }
