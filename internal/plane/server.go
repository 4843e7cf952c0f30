package plane

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ServerState is where a server is on its way to work.
type ServerState string

// The states of a server.
const (
	ServerPending      ServerState = "pending"      // known, nothing done yet
	ServerProvisioning ServerState = "provisioning" // a Run is at it
	ServerReady        ServerState = "ready"
	ServerUnreachable  ServerState = "unreachable" // was ready; the panel cannot sign in
	ServerFailed       ServerState = "failed"      // the last provisioning failed
)

// Firewall says who looks after a server's firewall.
type Firewall string

// The firewall choices of product.md section 3.
const (
	FirewallManage   Firewall = "manage"    // ufw on, only SSH and what apps need
	FirewallKeepOpen Firewall = "keep-open" // ufw on, and an allow rule for what was found listening
	FirewallLeave    Firewall = "leave"     // never touched; the person opens what is shown
)

// CheckFirewall accepts the three choices, and empty for the default.
func CheckFirewall(field string, f Firewall) error {
	switch f {
	case "", FirewallManage, FirewallKeepOpen, FirewallLeave:
		return nil
	}
	return Invalid(field, "must be manage, keep-open or leave", "")
}

// CheckServerName holds for names of servers: those of CheckName but the ones
// Ansible gives a meaning of its own.
func CheckServerName(field, name string) error {
	switch name {
	case "all", "ungrouped", "localhost":
		return Invalid(field, fmt.Sprintf("%q has a meaning of its own for Ansible", name), "choose another name")
	}
	return CheckName(field, name)
}

// Server is a managed Linux machine.
type Server struct {
	ID             string
	Name           string
	Address        netip.Addr
	PrivateAddress netip.Addr // what other servers use
	SSHPort        int
	HostKey        string // pinned, authorized_keys form
	Firewall       Firewall
	Adopt          bool
	State          ServerState
	Reason         string
	Since          time.Time
	Survey         Survey
	CreatedAt      time.Time

	// TreeWanted and TreeApplied number the desired and the last applied
	// contents of the server's Nginx; TreeError says why they differ.
	TreeWanted  int64
	TreeApplied int64
	TreeError   string

	// NginxError is why Nginx refuses the server's tree as it stands, found by a
	// look of its own before it is in the way of a change; empty: it is sound.
	NginxError     string
	NginxCheckedAt time.Time
}

// silent begins what is added to why a server failed while it gives no sign of life.
const silent = "; and the panel cannot sign in now: "

// Heard is the state and reason after the panel asked the server for a sign of
// life. One whose provisioning failed stays failed whatever it says, since only
// provisioning mends that; its reason tells whether it can be reached.
func (s Server) Heard(err error) (ServerState, string) {
	failed, _, told := strings.Cut(s.Reason, silent)
	switch {
	case s.State == ServerFailed && err != nil && told:
		return ServerFailed, s.Reason // errors of one cause differ in words
	case s.State == ServerFailed && err != nil:
		return ServerFailed, failed + silent + err.Error()
	case s.State == ServerFailed:
		return ServerFailed, failed
	case err != nil:
		return ServerUnreachable, err.Error()
	}
	return ServerReady, ""
}

// Carries tells whether the server may carry apps now: it is ready, or was
// before a later provisioning failed.
func (s Server) Carries() bool {
	return s.State == ServerReady || s.State == ServerFailed && s.TreeApplied > 0
}

// Survey is what was found on a server before anything was changed.
type Survey struct {
	TakenAt     time.Time `json:"taken_at"`
	OS          string    `json:"os"`         // for example "Debian GNU/Linux 12 (bookworm)"
	OSFamily    string    `json:"os_family"`  // for example "debian"
	OSVersion   string    `json:"os_version"` // for example "12"
	Arch        string    `json:"arch"`
	Cores       int       `json:"cores"`
	MemoryMiB   int       `json:"memory_mib"`
	SwapMiB     int       `json:"swap_mib"`
	DiskFreeMiB int       `json:"disk_free_mib"`
	ClockOffset Duration  `json:"clock_offset"` // server minus panel
	Addresses   []string  `json:"addresses"`    // on its interfaces, loopback left out
	Default     string    `json:"default_address"`
	SSHPort     int       `json:"ssh_port"` // the port the server itself sees
	Listening   []Socket  `json:"listening"`
	Firewall    string    `json:"firewall"` // none, ufw, ufw-inactive, firewalld, nftables
	NginxSites  []string  `json:"nginx_sites"`
	NginxBroken string    `json:"nginx_broken"` // what nginx -t says when it fails
	// NginxDefault is the foreign file whose site answers names on port 80 that
	// no site has, or empty; Explicit: it says default_server itself.
	NginxDefault         string   `json:"nginx_default"`
	NginxDefaultExplicit bool     `json:"nginx_default_explicit"`
	Databases            []string `json:"databases"`
	AptLock              string   `json:"apt_lock"` // who holds it, or empty
	Panel                string   `json:"panel"`    // id of the panel that manages it already, or empty
	Node                 string   `json:"node"`     // version of Node.js, or empty
}

// Fingerprint names the pinned host key as ssh-keygen -l does, and Type its
// kind; both are empty where none is pinned.
func (s Server) Fingerprint() (fingerprint, kind string) {
	parts := strings.Fields(s.HostKey)
	if len(parts) < 2 {
		return "", ""
	}
	raw, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return "", ""
	}
	sum := sha256.Sum256(raw)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), parts[0]
}

// Socket is one listening socket.
type Socket struct {
	Proto   string `json:"proto"`   // tcp or udp
	Address string `json:"address"` // as the server prints it
	Port    int    `json:"port"`
	Process string `json:"process"` // program name, or empty
}

// Outside tells whether the socket can be reached from other machines.
func (s Socket) Outside() bool {
	addr, err := netip.ParseAddr(s.Address)
	return err != nil || !addr.IsLoopback()
}

// Port80Taken names the foreign program that listens on port 80 (other than
// Nginx), or is empty: such a server can be a backend, not a primary.
func (s Survey) Port80Taken() string {
	for _, l := range s.Listening {
		if l.Proto == "tcp" && l.Port == 80 && l.Process != "nginx" {
			return cmp.Or(l.Process, "another program")
		}
	}
	return ""
}

// EnginePortTaken names the program that listens where an engine which is not there yet
// would, or is empty. One that is there has a port of its own choice.
func (s Survey) EnginePortTaken(e Engine) string {
	if slices.Contains(s.Databases, string(e)) {
		return ""
	}
	for _, l := range s.Listening {
		if l.Proto == "tcp" && l.Port == e.Port() {
			return cmp.Or(l.Process, "another program")
		}
	}
	return ""
}

// ChooseFirewall picks the default of product.md section 3: manage where
// nothing but sshd listens outside, leave where another firewall rules,
// keep-open otherwise.
func (s Survey) ChooseFirewall() Firewall {
	if s.Firewall == "firewalld" || s.Firewall == "nftables" {
		return FirewallLeave
	}
	for _, l := range s.Listening {
		if l.Outside() && l.Process != "sshd" {
			return FirewallKeepOpen
		}
	}
	return FirewallManage
}

// Refuse says why the server cannot be taken, or nil.
func (s Survey) Refuse(panel string, adopt bool, firewall Firewall) error {
	switch {
	case s.OSFamily != "debian":
		return Invalid("address", fmt.Sprintf("runs %s; Debian 12 and 13 are supported, Ubuntu LTS is meant to work", s.OS), "use a Debian server")
	case s.Panel != "" && s.Panel != panel && !adopt:
		return Conflict("the server is managed by another panel ("+s.Panel+")", "add --adopt to take it over")
	case s.ClockOffset.Abs() > MaxClockOffset:
		return Conflict(fmt.Sprintf("the server's clock is off by %s", s.ClockOffset.Abs().Round(time.Second)), "switch on time synchronisation: timedatectl set-ntp true")
	case firewall != FirewallLeave && (s.Firewall == "firewalld" || s.Firewall == "nftables"):
		return Conflict("the server's firewall is "+s.Firewall+", not ufw", "use --firewall leave and open what each app shows")
	}
	return nil
}

// MaxClockOffset is how far a server's clock may be off.
const MaxClockOffset = 5 * time.Second

// Sees reports whether the address is on one of the server's interfaces.
func (s Survey) Sees(addr netip.Addr) bool {
	for _, a := range s.Addresses {
		if got, err := netip.ParseAddr(a); err == nil && got.Unmap() == addr {
			return true
		}
	}
	return false
}

// ChoosePrivateAddress is the default private address: the address itself if
// it is on an interface, else the one of the default route.
func (s Survey) ChoosePrivateAddress(address netip.Addr) netip.Addr {
	if s.Sees(address) {
		return address
	}
	if addr, err := netip.ParseAddr(s.Default); err == nil {
		return addr.Unmap()
	}
	return address
}
