package remote

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Target is a server and the way in. It is a plain value: two equal Targets share one held connection.
type Target struct {
	ID      string // the server's id, by which Forget finds its connections
	Address string // IP address or name, without port
	Port    int    // 0 means 22
	User    string
	HostKey string // the one pinned key in authorized_keys form, "ssh-ed25519 AAAA…"
}

func (t Target) hostPort() string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(t.Address, strconv.Itoa(port))
}

// name is how error texts call the server.
func (t Target) name() string {
	if t.ID == "" {
		return t.hostPort()
	}
	return t.ID + " (" + t.hostPort() + ")"
}

// pinned reads the pinned key, which must be exactly one.
func (t Target) pinned() (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(t.HostKey)))
	if err != nil {
		return nil, fmt.Errorf("reading the pinned host key: %w", err)
	}
	return key, nil
}

// clientConfig is the handshake that accepts the pinned key and nothing else. The algorithms follow from the pinned key's type,
// otherwise the server may choose another of its keys and look like a stranger.
func (t Target) clientConfig(auth ...ssh.AuthMethod) (*ssh.ClientConfig, error) {
	pinned, err := t.pinned()
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User:              t.User,
		Auth:              auth,
		HostKeyAlgorithms: algorithms(pinned.Type()),
		HostKeyCallback: func(_ string, _ net.Addr, offered ssh.PublicKey) error {
			if bytes.Equal(offered.Marshal(), pinned.Marshal()) {
				return nil
			}
			return &changedKeyError{pinned: ssh.FingerprintSHA256(pinned), offered: ssh.FingerprintSHA256(offered)}
		},
	}, nil
}

// algorithms lists the signatures that prove a key of this type.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// changedKeyError is a server that answers with another key than the pinned one.
type changedKeyError struct{ pinned, offered string }

func (e *changedKeyError) Error() string {
	return fmt.Sprintf("the host key has changed: pinned %s, offered %s", e.pinned, e.offered)
}
