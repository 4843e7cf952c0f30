package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// reserved is the block kept for tests of network devices (RFC 2544), 198.18.0.0/15; each fleet takes one of its 512 /24.
const reserved uint32 = 198<<24 | 18<<16

// network is a fleet's bridge, its addresses and the packets it drops. All rules live in two nftables tables of its own,
// replaced as a whole at each change, so that nothing of the machine's own rules is touched; only the three iptables rules
// that let servers past a policy of "drop" are added to the machine's chains.
type network struct {
	id     string
	prefix netip.Prefix
	cuts   map[[2]string]bool  // from a port of the bridge to another
	alone  map[netip.Addr]bool // servers cut from this machine
	guests []netip.Addr        // addresses of strangers, on this machine
}

func newNetwork(id string, prefix netip.Prefix) *network {
	return &network{id: id, prefix: prefix, cuts: map[[2]string]bool{}, alone: map[netip.Addr]bool{}}
}

// bridgeName is at most 15 characters, the kernel's limit.
func bridgeName(id string) string { return "spf-" + id }
func tableName(id string) string  { return "sp_fleet_" + id }

func (n *network) gateway() netip.Addr { return n.host(1) }

// mac is the bridge's hardware address, marked as administered by nobody but us.
func (n *network) mac() net.HardwareAddr {
	bytes := n.gateway().As4()
	return append(net.HardwareAddr{2, 0}, bytes[:]...)
}

func (n *network) host(last byte) netip.Addr {
	bytes := n.prefix.Addr().As4()
	bytes[3] = last
	return netip.AddrFrom4(bytes)
}

// freePrefix picks a /24 that no interface, no route and none of the taken ones touches.
func freePrefix(taken []netip.Prefix) (netip.Prefix, error) {
	used, err := usedPrefixes()
	if err != nil {
		return netip.Prefix{}, err
	}
	used = append(used, taken...)
	for _, third := range rand.Perm(512) {
		var bytes [4]byte
		binary.BigEndian.PutUint32(bytes[:], reserved+uint32(third)<<8)
		candidate := netip.PrefixFrom(netip.AddrFrom4(bytes), 24)
		if !overlapsAny(candidate, used) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, errors.New("every /24 of 198.18.0.0/15 is in use")
}

func overlapsAny(p netip.Prefix, others []netip.Prefix) bool {
	for _, other := range others {
		if p.Overlaps(other) {
			return true
		}
	}
	return false
}

// usedPrefixes lists the networks of this machine's interfaces and routes; a default route takes nothing.
func usedPrefixes() ([]netip.Prefix, error) {
	var used []netip.Prefix
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("reading this machine's addresses: %w", err)
	}
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			used = append(used, prefix.Masked())
		}
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, fmt.Errorf("reading this machine's routes: %w", err)
	}
	for _, line := range strings.Split(string(routes), "\n")[1:] {
		words := strings.Fields(line)
		if len(words) < 8 {
			continue
		}
		var dest, mask uint32
		if _, err := fmt.Sscanf(words[1]+" "+words[7], "%X %X", &dest, &mask); err != nil || mask == 0 {
			continue
		}
		var bytes [4]byte
		binary.LittleEndian.PutUint32(bytes[:], dest)
		var maskBytes [4]byte
		binary.LittleEndian.PutUint32(maskBytes[:], mask)
		ones, _ := net.IPMask(maskBytes[:]).Size()
		used = append(used, netip.PrefixFrom(netip.AddrFrom4(bytes), ones))
	}
	return used, nil
}

// up makes the bridge and its rules.
func (n *network) up(ctx context.Context) error {
	bridge := bridgeName(n.id)
	for _, args := range [][]string{
		// Of its own: else it is a port's, and the servers go on sending to it for 5 s after that one's power was cut.
		{"link", "add", bridge, "address", n.mac().String(), "type", "bridge"},
		{"address", "add", netip.PrefixFrom(n.gateway(), 24).String(), "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if _, err := tool(ctx, "", "ip", args...); err != nil {
			return fmt.Errorf("making the bridge: %w", err)
		}
	}
	if err := n.apply(ctx); err != nil {
		return err
	}
	for _, rule := range forwardRules(n.id) {
		if _, err := tool(ctx, "", "iptables", append([]string{"-w", "-I"}, rule...)...); err != nil {
			return fmt.Errorf("letting servers past this machine's firewall: %w", err)
		}
	}
	trust(ctx, bridge)
	return nil
}

// forwardRules let servers out, back in, and to this machine, whatever the policy is: Docker sets FORWARD to drop, ufw INPUT.
func forwardRules(id string) [][]string {
	bridge, comment := bridgeName(id), []string{"-m", "comment", "--comment", "sp-fleet-" + id, "-j", "ACCEPT"}
	return [][]string{
		append([]string{"FORWARD", "-i", bridge}, comment...),
		append([]string{"FORWARD", "-o", bridge}, comment...),
		append([]string{"INPUT", "-i", bridge}, comment...),
	}
}

// trust tells firewalld, where it runs, to let the bridge's packets through: it rejects in tables of its own, past which
// no rule of ours leads. The change is not kept over its restart and ends with the bridge.
func trust(ctx context.Context, bridge string) {
	if _, err := tool(ctx, "", "firewall-cmd", "--state"); err == nil {
		_, _ = tool(ctx, "", "firewall-cmd", "--zone=trusted", "--add-interface="+bridge)
	}
}

// apply replaces both tables in one transaction: never a moment without the cuts.
func (n *network) apply(ctx context.Context) error {
	_, err := tool(ctx, n.rules(), "nft", "-f", "-")
	if err != nil {
		return fmt.Errorf("setting the fleet's packet rules: %w", err)
	}
	return nil
}

// rules writes the tables. Cuts between servers sit on the bridge, by port, and so are out of sight and out of reach of
// any firewall inside a server; they stop everything, ARP too. Cuts from this machine drop what is addressed to it or
// comes from it, while the server keeps its way to the outside.
func (n *network) rules() string {
	var b strings.Builder
	table := tableName(n.id)
	for _, family := range []string{"ip", "bridge"} {
		fmt.Fprintf(&b, "table %s %s\ndelete table %s %s\n", family, table, family, table)
	}
	fmt.Fprintf(&b, "table ip %s {\n", table)
	fmt.Fprintf(&b, " chain out { type nat hook postrouting priority 100; ip saddr %s ip daddr != %s masquerade\n }\n", n.prefix, n.prefix)
	b.WriteString(" chain from { type filter hook input priority -150;\n")
	for addr := range n.alone {
		fmt.Fprintf(&b, "  ip saddr %s%s drop\n", addr, n.butGuests("daddr"))
	}
	b.WriteString(" }\n chain to { type filter hook output priority -150;\n")
	for addr := range n.alone {
		fmt.Fprintf(&b, "  ip daddr %s%s drop\n", addr, n.butGuests("saddr"))
	}
	fmt.Fprintf(&b, " }\n}\ntable bridge %s {\n chain between { type filter hook forward priority -150;\n", table)
	for pair := range n.cuts {
		fmt.Fprintf(&b, "  iifname %q oifname %q drop\n", pair[0], pair[1])
	}
	b.WriteString(" }\n}\n")
	return b.String()
}

// butGuests is the part of a rule that lets strangers past a cut from this machine.
func (n *network) butGuests(field string) string {
	if len(n.guests) == 0 {
		return ""
	}
	return fmt.Sprintf(" ip %s != { %s }", field, join(n.guests))
}

// networkDown removes everything that up made for this id, and is content when it is not there.
func networkDown(ctx context.Context, id string) error {
	var failed []error
	table := tableName(id)
	// Declaring a table before deleting it makes the deletion succeed either way.
	rules := fmt.Sprintf("table ip %s\ndelete table ip %s\ntable bridge %s\ndelete table bridge %s\n", table, table, table, table)
	if _, err := tool(ctx, rules, "nft", "-f", "-"); err != nil {
		failed = append(failed, err)
	}
	for _, rule := range forwardRules(id) {
		// A crash may have come between a rule and its note: delete until there is none.
		for {
			if _, err := tool(ctx, "", "iptables", append([]string{"-w", "-C"}, rule...)...); err != nil {
				break
			}
			if _, err := tool(ctx, "", "iptables", append([]string{"-w", "-D"}, rule...)...); err != nil {
				failed = append(failed, err)
				break
			}
		}
	}
	ports, _ := filepath.Glob("/sys/class/net/" + bridgeName(id) + "/brif/*")
	for _, link := range append(ports, bridgeName(id)) {
		failed = append(failed, removeLink(ctx, filepath.Base(link)))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("removing the fleet's network: %w", err)
	}
	return nil
}

// removeLink removes an interface, and is content when it is not there or goes by itself meanwhile.
func removeLink(ctx context.Context, name string) error {
	if _, err := net.InterfaceByName(name); err != nil {
		return nil
	}
	_, err := tool(ctx, "", "ip", "link", "delete", name)
	if _, still := net.InterfaceByName(name); still != nil {
		return nil
	}
	return err
}

const forwardSwitch = "/proc/sys/net/ipv4/ip_forward"

// forwarding switches the machine's forwarding on, and notes in the cache folder that it was off. The caller holds the
// lock of all instances.
func forwarding(cache string) error {
	now, err := os.ReadFile(forwardSwitch)
	if err != nil {
		return fmt.Errorf("reading this machine's forwarding: %w", err)
	}
	if strings.TrimSpace(string(now)) == "1" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(cache, "forwarding-was-off"), nil, 0o600); err != nil {
		return err
	}
	return os.WriteFile(forwardSwitch, []byte("1\n"), 0o644)
}

// restoreForwarding switches it off again if a fleet switched it on. The caller holds the lock, and no fleet is left.
func restoreForwarding(cache string) error {
	note := filepath.Join(cache, "forwarding-was-off")
	if _, err := os.Stat(note); err != nil {
		return nil
	}
	if err := os.WriteFile(forwardSwitch, []byte("0\n"), 0o644); err != nil {
		return fmt.Errorf("switching forwarding off again: %w", err)
	}
	return os.Remove(note)
}
