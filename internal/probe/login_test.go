package probe_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
)

// says accepts and answers whoever comes with the bytes, once they said something where they speak first.
func says(t *testing.T, first bool, answer []byte) netip.AddrPort {
	t.Helper()
	l := listen(t, func(conn net.Conn) {
		if first {
			_, _ = conn.Read(make([]byte, 1024))
		}
		_, _ = conn.Write(answer)
		<-t.Context().Done()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// postgreSQL is a FATAL of the engine.
func postgreSQL(code, text string) []byte {
	fields := "SFATAL\x00VFATAL\x00C" + code + "\x00M" + text + "\x00\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(fields)+4)), fields...)
}

// mariaDB is an error instead of a greeting.
func mariaDB(number uint16, text string) []byte {
	body := append(binary.LittleEndian.AppendUint16([]byte{0xff}, number), text...)
	return append([]byte{byte(len(body)), 0, 0, 0}, body...)
}

// TestWhatARefusalIs: an engine that is full, starting, hung or something else has judged nobody.
func TestWhatARefusalIs(t *testing.T) {
	for name, c := range map[string]struct {
		engine  plane.Engine
		answer  []byte
		verdict plane.Verdict
		says    string
	}{
		"no line of pg_hba.conf":     {plane.PostgreSQL, postgreSQL("28000", "no pg_hba.conf entry"), plane.Fail, "28000 no pg_hba.conf entry"},
		"a wrong password":           {plane.PostgreSQL, postgreSQL("28P01", "password authentication failed"), plane.Fail, "28P01 password authentication failed"},
		"PostgreSQL is full":         {plane.PostgreSQL, postgreSQL("53300", "too many clients"), plane.Blind, "53300 too many clients"},
		"PostgreSQL starts":          {plane.PostgreSQL, postgreSQL("57P03", "starting up"), plane.Blind, "57P03 starting up"},
		"no such database":           {plane.PostgreSQL, postgreSQL("3D000", "does not exist"), plane.Blind, "3D000 does not exist"},
		"PostgreSQL hangs":           {plane.PostgreSQL, nil, plane.Blind, "it took the connection and did not answer in 2s"},
		"not from this host":         {plane.MariaDB, mariaDB(1130, "Host is not allowed"), plane.Fail, "1130 Host is not allowed"},
		"access denied":              {plane.MariaDB, mariaDB(1045, "Access denied"), plane.Fail, "1045 Access denied"},
		"MariaDB is full":            {plane.MariaDB, mariaDB(1040, "Too many connections"), plane.Blind, "1040 Too many connections"},
		"a host with too many tries": {plane.MariaDB, mariaDB(1129, "Host is blocked"), plane.Blind, "1129 Host is blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := probe.New(vantage{}, time.Now).SignIn(t.Context(), probe.Login{
				From: remote.Target{Address: "203.0.113.1"}, FromName: "s4", Engine: c.engine, Address: says(t, c.engine == plane.PostgreSQL, c.answer),
				Role: "sp_shop", Database: "sp_shop", Password: "p", Timeout: 2 * time.Second,
			})
			if got.Verdict != c.verdict || got.Answer != c.says {
				t.Errorf("%s: %s", got.Verdict, got.Answer)
			}
		})
	}
	nobody := probe.New(vantage{}, time.Now).SignIn(t.Context(), probe.Login{
		FromName: "s4", Engine: plane.PostgreSQL, Address: netip.MustParseAddrPort("127.0.0.1:1"), Timeout: time.Second,
	})
	if nobody.Verdict != plane.Fail || nobody.Answer != "connection refused" {
		t.Errorf("%+v", nobody)
	}
}
