package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// Strangers gives this machine more addresses on the fleet's bridge, each in a /24 of its own: who connects from one of
// them is, for a server, somebody else from elsewhere. They stay until the fleet is closed.
func (f *Fleet) Strangers(ctx context.Context, n int) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	added := make([]netip.Addr, 0, n)
	for range n {
		addr, err := freeStranger()
		if err != nil {
			return nil, err
		}
		if _, err := tool(ctx, "", "ip", "address", "add", netip.PrefixFrom(addr, 32).String(), "dev", bridgeName(f.ID)); err != nil {
			return nil, fmt.Errorf("adding a stranger's address: %w", err)
		}
		added = append(added, addr)
	}
	f.network.guests = append(f.network.guests, added...)
	return added, f.network.apply(ctx)
}

// freeStranger picks an address in a /24 that nothing of this machine touches; as the address is on an interface from now
// on, no later fleet or stranger takes the same /24.
func freeStranger() (netip.Addr, error) {
	used, err := usedPrefixes()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, third := range rand.Perm(512) {
		var bytes [4]byte
		binary.BigEndian.PutUint32(bytes[:], reserved+uint32(third)<<8+20)
		addr := netip.AddrFrom4(bytes)
		if !overlapsAny(netip.PrefixFrom(addr, 24).Masked(), used) {
			return addr, nil
		}
	}
	return netip.Addr{}, errors.New("every /24 of 198.18.0.0/15 is in use")
}

func join(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
