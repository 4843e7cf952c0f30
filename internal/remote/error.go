package remote

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Kind says whose failure an [Error] is.
type Kind string

// The kinds of failure.
const (
	// KindUnreachable is no SSH handshake at all: the address is refused, silent or speaks something else.
	KindUnreachable Kind = "unreachable"
	// KindHostKey is a server with another host key than the pinned one.
	KindHostKey Kind = "host_key"
	// KindAuth is a server that refuses our key or password.
	KindAuth Kind = "auth"
	// KindSudo is sudo that refuses the user who has signed in.
	KindSudo Kind = "sudo"
	// KindLost is a connection that broke while we waited: what became of the work is not known.
	KindLost Kind = "lost"
	// KindVantage is our own side's inability to look: forwarding forbidden, sshd out of descriptors or of sessions, or a held
	// connection that does not answer. It says nothing about the dialled address.
	KindVantage Kind = "vantage"
	// KindTarget is about the address dialled through the server, with the server's own words ("Connection refused").
	KindTarget Kind = "target"
)

// Error is a failure to reach a server or to hear from it.
type Error struct {
	Kind   Kind
	Target string // the server we speak with
	Op     string // what we were doing
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s on %s: %v", e.Op, e.Target, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the outermost [Error] in err's chain, or "" where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// Forbidden reports a server whose sshd does not let us forward: another way of asking from there may be open.
func Forbidden(err error) bool {
	var refused *ssh.OpenChannelError
	return KindOf(err) == KindVantage && errors.As(err, &refused) && refused.Reason == ssh.Prohibited
}

func fail(kind Kind, t Target, op string, err error) error {
	return &Error{Kind: kind, Target: t.name(), Op: op, Err: err}
}

// handshakeKind tells why a handshake failed. The library has no type for a refused sign-in, only its text; message 51 is the
// refusal (RFC 4252) where it expected a server that offers keyboard-interactive to ask something.
func handshakeKind(err error) Kind {
	var changed *changedKeyError
	switch {
	case errors.As(err, &changed):
		return KindHostKey
	case strings.Contains(err.Error(), "unable to authenticate"), strings.Contains(err.Error(), "unexpected message type 51"):
		return KindAuth
	}
	return KindUnreachable
}

var errEnded = errors.New("the connection ended")

// plainly is the error of a channel that was asked for. Where the connection ends before the answer, x/crypto/ssh speaks of a
// packet of no type.
func plainly(err error) error {
	if err != nil && strings.HasSuffix(err.Error(), "unexpected packet in response to channel open: <nil>") {
		return errEnded
	}
	return err
}

// lacksHostKey reports a server that has no key of the pinned type any more.
func lacksHostKey(err error) bool {
	var none *ssh.AlgorithmNegotiationError
	return errors.As(err, &none) && strings.Contains(err.Error(), "host key")
}

// forwardKind tells a refused forward from a refused target. sshd answers reason 2 with an errno text when the target refused,
// and with its default text when it could not even try.
func forwardKind(refused *ssh.OpenChannelError) Kind {
	about := strings.TrimSpace(refused.Message)
	if refused.Reason == ssh.ConnectionFailed && about != "" && about != "open failed" {
		return KindTarget
	}
	return KindVantage
}
