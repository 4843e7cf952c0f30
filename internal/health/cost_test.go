package health_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/health"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

// BenchmarkKeeper reports what 500 backends of 10 primaries at the default
// interval cost the panel in percent of a core, without SSH: each dial reaches
// a site on this machine directly. The site's own work is in the figure.
//
//	go test -run '^$' -bench Keeper -benchtime 1x ./internal/health
func BenchmarkKeeper(b *testing.B) {
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "panel.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer site.Close()
	begun := time.Now()
	var probes atomic.Int64
	if err := crowd(b.Context(), s, begun); err != nil {
		b.Fatal(err)
	}
	v := direct{at: site.Listener.Addr().String(), probes: &probes}
	k := health.New(health.Config{
		Store: s, Hub: stream.New(), Prober: probe.New(v, time.Now), Now: time.Now, Owner: "panel-1", Log: slog.New(slog.DiscardHandler),
	})
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		used, from := processor(b), time.Now()
		if err := k.Run(ctx); err != nil {
			b.Error(err)
		}
		cancel()
		b.ReportMetric(100*(processor(b)-used).Seconds()/time.Since(from).Seconds(), "%core")
	}
	b.ReportMetric(float64(probes.Load())/b.Elapsed().Seconds(), "probes/s")
}

// processor is the time this process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// direct reaches the one site, whatever is dialled.
type direct struct {
	*vantage
	at     string
	probes *atomic.Int64
}

func (d direct) Dial(ctx context.Context, _ remote.Target, _ string) (net.Conn, error) {
	d.probes.Add(1)
	return new(net.Dialer).DialContext(ctx, "tcp", d.at)
}

// crowd stores 10 primaries with an app each, and 50 backends of each app.
func crowd(ctx context.Context, s *store.Store, at time.Time) error {
	return s.Write(ctx, func(tx *store.Tx) error {
		for n := range 50 {
			err := tx.CreateServer(ctx, plane.Server{
				ID: fmt.Sprint("srv_", n), Name: fmt.Sprint("s", n), SSHPort: 22, State: plane.ServerReady, Since: at, CreatedAt: at,
				Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(n + 1)}), PrivateAddress: netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}),
			})
			if err != nil {
				return err
			}
		}
		for n := range 10 {
			if err := crew(ctx, tx, n, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func crew(ctx context.Context, tx *store.Tx, n int, at time.Time) error {
	a := plane.App{
		ID: fmt.Sprint("app_", n), Name: fmt.Sprint("app", n), Kind: plane.KindNodeJS, ServerID: fmt.Sprint("srv_", n), State: plane.AppLive,
		Balancer: plane.NewLoadBalancer(), Spec: plane.Spec{HealthPath: "/"}, Since: at, CreatedAt: at,
	}
	if err := tx.CreateApp(ctx, a); err != nil {
		return err
	}
	if err := tx.SetLive(ctx, a.ID, plane.SlotA, "dep_1"); err != nil {
		return err
	}
	for i := range 50 {
		err := tx.CreateBackend(ctx, plane.Backend{
			ID: fmt.Sprintf("bck_%d_%d", n, i), AppID: a.ID, ServerID: fmt.Sprint("srv_", i), Primary: i == n, Enabled: true, Placed: true, Weight: 1,
			Ports: plane.Ports{SiteA: 20003 + 4*n}, CreatedAt: at, Health: plane.Health{State: plane.BackendDeploying, Since: at},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
