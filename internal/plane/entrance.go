package plane

import "net/netip"

// HostKey is what a server offered to prove who it is.
type HostKey struct {
	Line        string // authorized_keys form, what is pinned
	Fingerprint string // "SHA256:…", what a person compares
	Type        string // for example "ssh-ed25519"
}

// Entrance is a person's own way into a server, used once to install the
// panel's key and never stored. Without Key and Password the panel's own key
// is tried (the person pasted it).
type Entrance struct {
	Address      netip.Addr
	Port         int
	User         string
	Key          []byte // PEM
	Password     string
	SudoPassword string
	HostKey      string // pinned, authorized_keys form
}
