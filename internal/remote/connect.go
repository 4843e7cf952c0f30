package remote

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// handshakeLimit bounds TCP connect, key exchange and sign-in together.
const handshakeLimit = 10 * time.Second

// connect opens and signs in to one SSH connection to t.
func connect(ctx context.Context, t Target, auth ...ssh.AuthMethod) (*ssh.Client, *wire, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.hostPort())
	if err != nil {
		return nil, nil, fail(KindUnreachable, t, "connecting", err)
	}
	raw := &wire{Conn: conn}
	client, err := handshake(ctx, raw, t, auth...)
	if lacksHostKey(err) {
		err = missingKey(ctx, t, err)
	}
	if err != nil {
		return nil, nil, fail(handshakeKind(err), t, "signing in as "+t.User, err)
	}
	return client, raw, nil
}

// wire is a connection that knows when the server last sent anything: behind much else, an answer may take its time.
type wire struct {
	net.Conn
	heard atomic.Int64
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// silent tells whether the server has sent nothing for that long.
func (w *wire) silent(limit time.Duration) bool {
	return time.Since(time.Unix(0, w.heard.Load())) > limit
}

// handshake makes an SSH client of raw; on failure, or when ctx ends first, raw is closed.
func handshake(ctx context.Context, raw net.Conn, t Target, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	config, err := t.clientConfig(auth...)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn, chans, reqs, err := ssh.NewClientConn(raw, t.hostPort(), config)
	if !stop() && err == nil {
		_ = conn.Close()
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return ssh.NewClient(conn, chans, reqs), nil
}

// missingKey turns "no common algorithm" into the plain fact that the server's key is another one now.
func missingKey(ctx context.Context, t Target, cause error) error {
	port := t.Port
	if port == 0 {
		port = 22
	}
	pinned, err := t.pinned()
	if err != nil {
		return cause
	}
	offered, err := ScanHostKey(ctx, t.Address, port)
	if err != nil {
		return cause
	}
	return &changedKeyError{pinned: ssh.FingerprintSHA256(pinned), offered: offered.Fingerprint}
}
