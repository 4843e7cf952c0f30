package nginx

import (
	"fmt"
	"net/netip"
)

// Tree is everything ServerPlane wants Nginx to do on one server.
type Tree struct {
	Sites []Site // the apps present on this server, in any order

	// IPv4Only leaves out the IPv6 listeners of the entry. It is needed only where the kernel
	// was started without IPv6: there Nginx could not start with them.
	IPv4Only bool
	// ForeignDefault: a site that is not ours says default_server on port 80, and goes on answering
	// the names that belong to no app.
	ForeignDefault bool
}

func (t Tree) check() error {
	seen := newClaims()
	for _, s := range t.Sites {
		if err := s.check(seen); err != nil {
			return err
		}
	}
	return nil
}

// claims remembers what may exist only once on a server, and who has it.
type claims map[string]string

func newClaims() claims { return claims{} }

func (c claims) take(kind, value, by, field string) error {
	key := kind + " " + value
	if owner, taken := c[key]; taken {
		return refuse(field, fmt.Sprintf("the %s %q is already used by %s", kind, value, owner))
	}
	c[key] = by
	return nil
}

func (c claims) takeAddress(a netip.AddrPort, by, field string) error {
	return c.take("address", a.String(), by, field)
}
