package storetest

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// day is when the tests happen; stores keep microseconds.
var day = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// kit is one test at one store.
type kit struct {
	failer
	s *store.Store
}

type work func(ctx context.Context, tx *store.Tx) error

// write must succeed.
func (k kit) write(w work) {
	k.Helper()
	if err := k.tryWrite(w); err != nil {
		k.Fatalf("write: %v", err)
	}
}

func (k kit) tryWrite(w work) error {
	ctx := context.Background()
	return k.s.Write(ctx, func(tx *store.Tx) error { return w(ctx, tx) })
}

// refuse expects an error with the code, holding the text.
func (k kit) refuse(code plane.Code, text string, w work) {
	k.Helper()
	err := k.tryWrite(w)
	if err == nil || plane.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
		k.Fatalf("got error %q with code %s; want %s and %q in it", err, plane.CodeOf(err), code, text)
	}
}

// missing expects ErrNotFound, which is a not_found for a person too.
func (k kit) missing(w work) {
	k.Helper()
	if err := k.tryWrite(w); !errors.Is(err, store.ErrNotFound) || plane.CodeOf(err) != plane.CodeNotFound {
		k.Fatalf("got error %v with code %s; want ErrNotFound", err, plane.CodeOf(err))
	}
}

// broken expects an error without a code: a rule of the schema that no person
// should ever meet.
func (k kit) broken(what string, w work) {
	k.Helper()
	if err := k.tryWrite(w); err == nil || plane.CodeOf(err) != plane.CodeInternal {
		k.Fatalf("%s: got error %v; want the schema to refuse it", what, err)
	}
}

// get reads one value.
func get[T any](k kit, read func(ctx context.Context, tx *store.Tx) (T, error)) T {
	k.Helper()
	var v T
	ctx := context.Background()
	if err := k.s.Read(ctx, func(tx *store.Tx) (err error) {
		v, err = read(ctx, tx)
		return err
	}); err != nil {
		k.Fatalf("read: %v", err)
	}
	return v
}

func same[T any](k kit, what string, got, want T) {
	k.Helper()
	opts := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		k.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// ids of rows, in their order.
func ids[T any](all []T, id func(T) string) string {
	var out []string
	for _, v := range all {
		out = append(out, id(v))
	}
	return strings.Join(out, " ")
}

func server(name string) plane.Server {
	return plane.Server{
		ID: "srv_" + name, Name: name, Address: netip.MustParseAddr("203.0.113.10"),
		PrivateAddress: netip.MustParseAddr("2001:db8::10"), SSHPort: 2222, HostKey: "ssh-ed25519 AAAA",
		Firewall: plane.FirewallManage, Adopt: true, State: plane.ServerPending, Reason: "new", Since: day,
		Survey: plane.Survey{TakenAt: day, OS: "Debian", Addresses: []string{"203.0.113.10"}, ClockOffset: plane.Duration(time.Second),
			Listening: []plane.Socket{{Proto: "tcp", Address: "0.0.0.0", Port: 22, Process: "sshd"}}},
		CreatedAt: day,
	}
}

func app(name, serverID string) plane.App {
	a := plane.App{
		ID: "app_" + name, Name: name, Kind: plane.KindNodeJS, ServerID: serverID, Repository: "https://example.com/me/app.git",
		Branch: "main", Domains: []string{name + ".example.com", "a-" + name + ".example.com"}, DeployKey: "ssh-ed25519 BBBB",
		DeployKeyPEM: []byte{0, 1, 255}, State: plane.AppNew, Reason: "nothing yet", Since: day,
		Balancer: plane.NewLoadBalancer(), CreatedAt: day,
	}
	a.Spec = plane.Spec{Root: "web", RunOnce: []string{"npm run migrate"}, Options: map[string]string{"x": "y"}}.WithDefaults(a.Kind)
	return a
}

func backend(a, s string, primary bool) plane.Backend {
	return plane.Backend{
		ID: "bck_" + a + s, AppID: "app_" + a, ServerID: "srv_" + s, Primary: primary, Enabled: true, Weight: 1,
		Ports: plane.Ports{ProcessA: 20001, ProcessB: 20002, SiteA: 20003, SiteB: 20004}, CreatedAt: day,
		SeenAs: netip.MustParseAddr("10.0.0.1"), ReleaseID: "20260301120000-abcdef0",
		Health: plane.Health{State: plane.BackendDeploying, Since: day},
	}
}

// site creates servers s1 and s2 and the app web with its primary on s1.
func (k kit) site() {
	k.Helper()
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.CreateServer(ctx, server("s1")), tx.CreateServer(ctx, server("s2")),
			tx.CreateApp(ctx, app("web", "srv_s1")))
	})
}

func newKit(t *testing.T, s *store.Store) kit { return kit{failer: t, s: s} }
