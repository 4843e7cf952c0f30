package nginx

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// The ports ServerPlane gives to processes and local sites. 20000 answers with the version.
const (
	minPort = 20001
	maxPort = 29999
)

func checkApp(field, s string) error {
	if len(s) > 24 || !matches(`[a-z]([a-z0-9-]*[a-z0-9])?`, s) {
		return refuse(field, "must be 1 to 24 of a-z, 0-9 and -, start with a letter and not end with -")
	}
	return nil
}

func checkID(field, s string) error {
	if !matches(`[a-z]{3}_[a-z0-9]{16}`, s) {
		return refuse(field, "must be three letters, _ and 16 of a-z and 0-9")
	}
	return nil
}

// checkHostName accepts lower-case names of letters, digits and hyphens, with one leading "*."
// allowed: what DNS serves and what Nginx takes literally.
func checkHostName(field, s string) error {
	const rule = "must be a lower-case host name of letters, digits, - and dots, at most 253 long, perhaps starting with *."
	if len(s) > 253 {
		return refuse(field, rule)
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(s, "*."), ".") {
		if len(label) > 63 || !matches(`[a-z0-9]([a-z0-9-]*[a-z0-9])?`, label) {
			return refuse(field, rule)
		}
	}
	return nil
}

func checkAddr(field string, a netip.Addr) error {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.Zone() != "" {
		return refuse(field, "must be the IPv4 or IPv6 address of one machine, without a zone")
	}
	return nil
}

func checkAddrPort(field string, a netip.AddrPort) error {
	if err := checkAddr(field, a.Addr()); err != nil {
		return err
	}
	if a.Port() < minPort || a.Port() > maxPort {
		return refuse(field, fmt.Sprintf("the port must be %d to %d", minPort, maxPort))
	}
	return nil
}

func matches(pattern, s string) bool {
	return regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString(s)
}
