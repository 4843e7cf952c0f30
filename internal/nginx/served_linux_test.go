package nginx_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
	"github.com/serverplane/serverplane/internal/traffic"
)

// here runs what is meant for a server on this private machine.
type here struct{}

func (here) Exec(ctx context.Context, _ remote.Target, cmd remote.Command) (remote.Result, error) {
	c := exec.CommandContext(ctx, cmd.Args[0], cmd.Args[1:]...)
	var out bytes.Buffer
	c.Stdin, c.Stdout = cmd.Stdin, &out
	err := c.Run()
	return remote.Result{Stdout: out.Bytes()}, err
}

// counted is a store that knows the fleet's backends as those of one app.
func counted(t *testing.T, n int) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "panel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		for i := range n {
			err := tx.CreateServer(t.Context(), plane.Server{ID: fmt.Sprintf("srv_%d", i), Name: fmt.Sprintf("s%d", i), SSHPort: 22, State: plane.ServerReady,
				PrivateAddress: netip.AddrFrom4([4]byte{127, 0, 0, byte(11 + i)})})
			if err != nil {
				return err
			}
		}
		app := plane.App{ID: "app_0", Name: "web0", Kind: plane.KindNodeJS, ServerID: "srv_0", State: plane.AppLive, Balancer: plane.NewLoadBalancer()}
		if err := tx.CreateApp(t.Context(), app); err != nil {
			return err
		}
		for i := range n {
			err := tx.CreateBackend(t.Context(), plane.Backend{ID: fmt.Sprintf("b%d", i+1), AppID: "app_0", ServerID: fmt.Sprintf("srv_%d", i), Weight: 1, Ports: plane.Ports{SiteA: 20003, SiteB: 20004}})
			if err != nil {
				return err
			}
		}
		return tx.SetLive(t.Context(), "app_0", plane.SlotA, "dep_1")
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reads starts a panel's reader; it ends with stop, as if killed between two looks.
func reads(t *testing.T, s *store.Store) (stop func()) {
	t.Helper()
	r := traffic.New(traffic.Config{Store: s, Hub: stream.New(), Executor: here{}, Now: time.Now, Owner: "panel-1", Every: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() { cancel(); <-done }
}

// TestThePanelCountsWhatTheProcessesDid: a real Nginx logs, the panel's own reader counts, and the
// processes themselves say what they carried out.
func TestThePanelCountsWhatTheProcessesDid(t *testing.T) {
	m, path := logged(t, fleet(3, nginx.RoundRobin))
	s := counted(t, 3)
	first, second := serve(t, "b2", "127.0.0.12:20001", nil), serve(t, "b3", "127.0.0.13:20001", nil) // b1 has no process
	sent, failed, refused := 0, 0, 0
	some := func(n int) {
		for range n {
			a := ask(t, request([]string{"GET", "POST"}[sent%2], front+[]string{"", "%22", "code/404", "code/500", "code/429"}[sent%5], ""))
			if sent++; a.code == 500 {
				failed++
			}
		}
	}
	sums := func() map[string]plane.Served {
		sum := map[string]plane.Served{}
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			pieces, err := tx.ServedPieces(t.Context(), "app_0", plane.ServedMinute, time.Now().Add(-time.Hour))
			for _, p := range pieces {
				sum[p.BackendID] = sum[p.BackendID].Merge(p.Served)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	right := func() {
		t.Helper()
		var got map[string]plane.Served
		for limit := time.Now().Add(patient); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
			got = sums()
			ok := got["b2"].Requests == int(first.hits.Load()) && got["b3"].Requests == int(second.hits.Load()) && got["b2"].Errors+got["b3"].Errors == failed
			if ok && got["b1"].Requests == 0 && got[""].Requests == refused && got[""].Errors == refused && got["b1"].PassedOn > 0 {
				return
			}
		}
		t.Fatalf("of %d requests, %d of them errors and %d refused by all, b2 carried out %d and b3 %d; counted are %+v", sent, failed, refused, first.hits.Load(), second.hits.Load(), got)
	}
	stop := reads(t, s)
	some(60)
	right()
	if err := os.Rename(path, path+".1"); err != nil { // as logrotate does
		t.Fatal(err)
	}
	some(30)
	if err := m.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	some(30)
	right()
	stop()
	some(40)
	defer reads(t, s)()
	right()
	first.server.Close()
	second.server.Close()
	for range 6 {
		if a := ask(t, request("POST", front, "")); a.code == 502 {
			refused++
		}
	}
	if refused != 6 {
		t.Errorf("%d of 6 were refused by all", refused)
	}
	right()
}
