package runner

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// TestStrangerInThreeColours at a real PostgreSQL: what it says of a stranger is a refusal, a door that is open, or nothing about strangers.
func TestStrangerInThreeColours(t *testing.T) {
	r := newRotation(t)
	r.made()
	primary := r.server1()
	primary.PrivateAddress = netip.MustParseAddr("127.0.0.1")
	engine := plane.DatabaseServer{Port: r.port}
	for _, c := range []struct {
		name, lines, sql string
		verdict          plane.Verdict
		says             string
	}{
		{"as ServerPlane has it", "host all sp_shop all reject\n", "", plane.Fail, "28000 pg_hba.conf rejects connection"},
		{"no line at all", "", "", plane.Fail, "28000 no pg_hba.conf entry"},
		{"another password", "host all all all scram-sha-256\n", "ALTER ROLE sp_shop PASSWORD 'by hand'", plane.Fail, "28P01 password authentication failed"},
		{"opened by hand", "host all all all trust\n", "", plane.Pass, "signed in, a query was answered"},
		{"full", "host all all all trust\n", "ALTER ROLE sp_shop CONNECTION LIMIT 0", plane.Blind, "53300 too many connections for role"},
	} {
		r.psql(c.sql)
		r.allow(c.lines)
		until := time.Now().Add(10 * time.Second) // the engine reads its files when it comes to it
		for {
			proof, err := r.d.tryStranger(r.ctx, r.database(), engine, r.server1(), primary)
			r.must(err)
			if proof.Verdict == c.verdict && strings.HasPrefix(proof.Answer, c.says) {
				break
			}
			if time.Now().After(until) {
				t.Errorf("%s: %s: %s", c.name, proof.Verdict, proof.Answer)
				break
			}
		}
	}
	r.over()
}

// TestWorse: whoever got in one way is in, and a way that proves nothing is no refusal.
func TestWorse(t *testing.T) {
	order := []plane.Verdict{plane.Fail, plane.Blind, plane.Pass}
	for n, a := range order {
		for m, b := range order {
			if got := worse(plane.Proof{Verdict: a}, plane.Proof{Verdict: b}).Verdict; got != order[max(n, m)] {
				t.Errorf("of %s and %s: %s", a, b, got)
			}
		}
	}
}
