package recipe_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFZ9H5K2zQ1pGgNn1vQ0rWmJ0e2s3t4u5v6w7x8y9z0A"

const liveID = "dep_aaaaaaaaaaaaaaaa"

var day = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// server is the nth one: its public address ends in n, its private one too.
func server(n int) plane.Server {
	return plane.Server{
		ID: fmt.Sprintf("srv_aaaaaaaaaaaaaaa%d", n), Name: fmt.Sprintf("s%d", n), SSHPort: 22, HostKey: hostKey,
		Address: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n)), PrivateAddress: netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n)),
		Firewall: plane.FirewallManage, State: plane.ServerReady, TreeWanted: int64(n),
	}
}

func app() plane.App {
	a := plane.App{
		ID: "app_aaaaaaaaaaaaaaaa", Name: "web", Kind: plane.KindNodeJS, ServerID: server(1).ID, Repository: "https://example.com/web.git",
		Branch: "main", Domains: []string{"www.example.com", "example.com"}, State: plane.AppLive, LiveSlot: plane.SlotA,
		LiveID: liveID, Balancer: plane.NewLoadBalancer(), CreatedAt: day,
	}
	a.Balancer.Status = plane.BalancerOn
	a.Spec = plane.Spec{RunOnce: []string{"npm run migrate"}}.WithDefaults(a.Kind)
	return a
}

// seat is the app's backend on the nth server; the first is the primary.
func seat(n int) recipe.Seat {
	base := 20001 + 4*(n-1)
	b := plane.Backend{
		ID: fmt.Sprintf("bck_aaaaaaaaaaaaaaa%d", n), AppID: app().ID, ServerID: server(n).ID, Primary: n == 1, Enabled: true, Placed: true, Weight: 1, DeploymentID: liveID,
		Ports: plane.Ports{ProcessA: base, ProcessB: base + 1, SiteA: base + 2, SiteB: base + 3}, SeenAs: netip.MustParseAddr("10.0.0.1"),
	}
	if b.Primary {
		b.SeenAs = netip.MustParseAddr("127.0.0.1")
	}
	return recipe.Seat{Backend: b, Server: server(n)}
}

func plan() plane.Deployment {
	return plane.Deployment{
		ID: liveID, AppID: app().ID, Commit: strings.Repeat("0123456789", 4), ReleaseID: "20260701120000-0123456",
		Slot: plane.SlotB, Spec: app().Spec,
	}
}

func preparation(values map[string]string, seats ...recipe.Seat) recipe.Preparation {
	return recipe.Preparation{
		Run: "run_aaaaaaaaaaaaaaaa", App: app(), Plan: plan(), Values: values, Seats: seats,
		Archive: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("a tree")), nil },
	}
}
