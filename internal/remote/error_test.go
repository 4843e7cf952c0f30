package remote

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestPlainly: what x/crypto/ssh v0.58 says of a connection that ends before a
// channel is answered (mux.go, openChannel) is told as what it is.
func TestPlainly(t *testing.T) {
	var none any
	ended := fmt.Errorf("ssh: unexpected packet in response to channel open: %T", none)
	if got := plainly(ended); !errors.Is(got, errEnded) {
		t.Errorf("it is told as %v", got)
	}
	refused := &ssh.OpenChannelError{Reason: ssh.Prohibited}
	if !errors.Is(plainly(refused), refused) || plainly(nil) != nil {
		t.Error("other errors are not passed on")
	}
}
