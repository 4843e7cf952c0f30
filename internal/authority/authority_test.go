package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/authority"
)

// TestIssue: a certificate holds for exactly the places a database is reached at.
func TestIssue(t *testing.T) {
	now := time.Now()
	ours, err := authority.New("ours", now)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := authority.New("theirs", now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ours.Issue("s1", []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fd00::1")}, now)
	if err != nil {
		t.Fatal(err)
	}
	served, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"10.0.0.1": true, "127.0.0.1": true, "fd00::1": true, "localhost": true, "10.0.0.2": false, "s1": false} {
		for name, a := range map[string]authority.Pair{"ours": ours, "theirs": theirs} {
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(a.Certificate) {
				t.Fatal("no certificate")
			}
			_, err := served.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now.AddDate(10, 0, 0)})
			if got := err == nil; got != (want && name == "ours") {
				t.Errorf("%s by %s: %v", host, name, err)
			}
		}
	}
	if _, err := (authority.Pair{}).Issue("x", nil, now); err == nil {
		t.Error("an authority of nothing issues")
	}
}
