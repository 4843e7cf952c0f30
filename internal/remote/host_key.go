package remote

import (
	"context"
	"errors"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
)

// HostKey is the key a server shows, to be compared by a person and pinned.
type HostKey struct {
	Line        string // authorized_keys form, what Target.HostKey takes
	Fingerprint string // "SHA256:…"
	Type        string // "ssh-ed25519"
}

// errSeen ends the handshake of ScanHostKey as soon as the key is known.
var errSeen = errors.New("host key seen")

// ScanHostKey asks the SSH server at address for its host key without signing in; port 0 means 22. An ed25519 key is preferred
// to ECDSA and that to RSA. It errs with [KindUnreachable] when no SSH server answers within 10 s or ctx.
func ScanHostKey(ctx context.Context, address string, port int) (HostKey, error) {
	t := Target{Address: address, Port: port}
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", t.hostPort())
	if err != nil {
		return HostKey{}, fail(KindUnreachable, t, "connecting", err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	var seen ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(raw, t.hostPort(), &ssh.ClientConfig{
		User: "serverplane",
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error { seen = key; return errSeen },
	})
	if seen == nil {
		return HostKey{}, fail(KindUnreachable, t, "reading the host key", err)
	}
	return HostKey{
		Line:        strings.TrimSpace(string(ssh.MarshalAuthorizedKey(seen))),
		Fingerprint: ssh.FingerprintSHA256(seen),
		Type:        seen.Type(),
	}, nil
}
