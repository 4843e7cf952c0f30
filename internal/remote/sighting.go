package remote

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Sighting is what one server sees of another.
type Sighting struct {
	Address netip.Addr    // the address the other server's connection comes from
	RTT     time.Duration // the best of five round trips between the two, our own way to the first one taken off
}

// SeenAs measures the address under which to sees via: it opens a connection from via to to.Address and to.Port, makes sure by
// to's pinned host key that to answers there, signs in and asks. Errors as of Dial; for what is wrong on to's side the Error
// names to, with [KindHostKey] (another machine answers at this address), [KindAuth] or [KindLost].
func (p *Pool) SeenAs(ctx context.Context, via, to Target) (Sighting, error) {
	outer, err := p.line(ctx, via)
	if err != nil {
		return Sighting{}, err
	}
	defer outer.leave()
	conn, err := p.Dial(ctx, via, to.hostPort())
	if err != nil {
		return Sighting{}, err
	}
	defer conn.Close()
	bounded, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	client, err := handshake(bounded, conn, to, ssh.PublicKeys(p.signer))
	if err != nil {
		return Sighting{}, fail(handshakeKind(err), to, "signing in from "+via.name(), err)
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	address, err := origin(client)
	if err != nil {
		return Sighting{}, fail(KindLost, to, "asking where we come from", err)
	}
	far, errFar := roundTrip(client)
	near, errNear := roundTrip(outer.client)
	if errFar != nil || errNear != nil {
		return Sighting{}, fail(KindLost, to, "measuring the round trip", fmt.Errorf("far %w, near %w", errFar, errNear))
	}
	return Sighting{Address: address, RTT: max(far-near, 0)}, nil
}

// origin asks the server for the address our connection comes from.
func origin(client *ssh.Client) (netip.Addr, error) {
	session, err := client.NewSession()
	if err != nil {
		return netip.Addr{}, err
	}
	defer session.Close()
	answer, err := session.Output(`printf %s "$SSH_CONNECTION"`)
	if err != nil {
		return netip.Addr{}, err
	}
	from, _, _ := strings.Cut(string(answer), " ")
	address, err := netip.ParseAddr(from)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading SSH_CONNECTION %q: %w", answer, err)
	}
	return address.Unmap(), nil
}

// roundTrip is the best of five answers to a request that costs the server nothing.
func roundTrip(client *ssh.Client) (time.Duration, error) {
	best := time.Hour
	for range 5 {
		begun := time.Now()
		if _, _, err := client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return 0, err
		}
		best = min(best, time.Since(begun))
	}
	return best, nil
}
