package ui

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func shop(states ...plane.BackendState) control.AppOverview {
	a := control.AppOverview{App: plane.App{Name: "shop", State: plane.AppLive, LiveID: "dep_1", Balancer: plane.NewLoadBalancer()}, ServerName: "s1"}
	for i, s := range states {
		a.Backends = append(a.Backends, control.BackendView{
			ServerName: "s" + string(rune('1'+i)),
			Backend:    plane.Backend{Enabled: true, Placed: true, Health: plane.Health{State: s, Reason: "answered 404"}},
		})
	}
	return a
}

func TestProblemsSayWhatAndWhereTo(t *testing.T) {
	failed := shop()
	failed.State, failed.LiveID, failed.Reason = plane.AppFailed, "", "npm ended with 1"
	refused := shop(plane.BackendHealthy)
	refused.Balancer.Status, refused.Balancer.Reason = plane.BalancerFailed, "no"
	undumped := shop(plane.BackendHealthy)
	undumped.Databases = []plane.Database{{Name: "orders", Backups: plane.BackupPlan{Trouble: "failed: no space left"}}, {Name: "other"}}
	entered := shop(plane.BackendHealthy)
	entered.Databases = []plane.Database{{Name: "orders", Stranger: plane.Proof{Verdict: plane.Pass, Vantage: "s4, forwarded over SSH"}}}
	off := shop(plane.BackendUnhealthy)
	off.Backends[0].Enabled = false
	run := control.RunView{Run: plane.Run{ID: "run_1", Kind: plane.RunDeploy, State: plane.RunFailed, Reason: "x"}, AppName: "shop"}
	cut := control.RunView{Run: plane.Run{ID: "run_2", Kind: plane.RunProvision, State: plane.RunInterrupted}, ServerNames: []string{"s2"}}
	for name, c := range map[string]struct {
		o    control.Overview
		want string // look, title and address of each
	}{
		"nothing":      {control.Overview{Apps: []control.AppOverview{shop(plane.BackendHealthy)}, Servers: []plane.Server{{State: plane.ServerReady}}}, ""},
		"unreachable":  {control.Overview{Servers: []plane.Server{{Name: "s1", State: plane.ServerUnreachable}}}, "bad s1 cannot be reached /servers/s1"},
		"not prepared": {control.Overview{Servers: []plane.Server{{Name: "s1", State: plane.ServerFailed}}}, "bad s1 could not be prepared /servers/s1"},
		"refused":      {control.Overview{Servers: []plane.Server{{Name: "s1", State: plane.ServerReady, TreeError: "x"}}}, "bad Nginx on s1 refuses a change /servers/s1"},
		"would refuse": {control.Overview{Servers: []plane.Server{{Name: "s1", State: plane.ServerReady, NginxError: "x"}}}, "warn Nginx on s1 would refuse the next change /servers/s1"},
		"app":          {control.Overview{Apps: []control.AppOverview{failed}}, "bad shop could not be deployed /apps/shop/deployments"},
		"balancer":     {control.Overview{Apps: []control.AppOverview{refused}}, "bad Load balancing of shop could not be enabled /apps/shop/load-balancer"},
		"a stranger":   {control.Overview{Apps: []control.AppOverview{entered}}, "bad Database orders let a stranger in /apps/shop/database"},
		"dump":         {control.Overview{Apps: []control.AppOverview{undumped}, Troubled: []control.RunView{{Run: plane.Run{Kind: plane.RunBackup, State: plane.RunFailed}}}}, "bad The last dump of database orders came to nothing /apps/shop/database"},
		"one backend":  {control.Overview{Apps: []control.AppOverview{shop(plane.BackendHealthy, plane.BackendUnhealthy)}}, "bad shop on s2 is unhealthy /apps/shop/load-balancer"},
		"two backends": {
			control.Overview{Apps: []control.AppOverview{shop(plane.BackendUnhealthy, plane.BackendUnhealthy, plane.BackendHealthy)}},
			"bad 2 of 3 backends of shop are unhealthy /apps/shop/load-balancer",
		},
		"not seen":      {control.Overview{Apps: []control.AppOverview{shop(plane.BackendUnknown)}}, "unknown shop on s1 is out of the panel's sight /apps/shop/load-balancer"},
		"off is a wish": {control.Overview{Apps: []control.AppOverview{off}}, ""},
		"worst first": {
			control.Overview{Troubled: []control.RunView{cut, run}},
			"bad Deploy: shop failed /runs/run_1; warn Prepare server: s2 interrupted /runs/run_2",
		},
	} {
		var got []string
		for _, p := range problemsOf(c.o) {
			got = append(got, p.Look+" "+p.Title+" "+p.Links[0].Address)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The way of a newcomer goes on step by step and ends.
func TestWayOfANewcomer(t *testing.T) {
	ready := []plane.Server{{Name: "s1", State: plane.ServerReady}}
	created, live, on := shop(), shop(), shop()
	created.LiveID = ""
	on.Balancer.Status = plane.BalancerOn
	for name, c := range map[string]struct {
		o    control.Overview
		next string
	}{
		"empty":     {control.Overview{}, "/servers/new"},
		"not ready": {control.Overview{Servers: []plane.Server{{State: plane.ServerProvisioning}}}, "/servers"},
		"server":    {control.Overview{Servers: ready}, "/apps/new"},
		"app":       {control.Overview{Servers: ready, Apps: []control.AppOverview{created}}, "/apps/shop"},
		"live":      {control.Overview{Servers: ready, Apps: []control.AppOverview{live}}, "/apps/shop/load-balancer"},
		"all":       {control.Overview{Servers: ready, Apps: []control.AppOverview{on}}, ""},
	} {
		next := ""
		for _, s := range wayOf(c.o) {
			if s.Next {
				next = s.Address
			}
		}
		if next != c.next {
			t.Errorf("%s: leads to %q, want %q", name, next, c.next)
		}
	}
}

// BenchmarkOverviewPage renders 200 apps on 1000 backends, as each stream does
// after a hint.
func BenchmarkOverviewPage(b *testing.B) {
	u := &UI{assets: readAssets(), now: time.Now}
	u.pages = u.readPages()
	o := control.Overview{}
	for i := range 200 {
		a := shop(plane.BackendHealthy, plane.BackendHealthy, plane.BackendUnhealthy, plane.BackendHealthy, plane.BackendOff)
		a.Name = fmt.Sprintf("shop%d", i)
		o.Apps = append(o.Apps, a)
	}
	for i := range 50 {
		o.Servers = append(o.Servers, plane.Server{Name: fmt.Sprintf("s%d", i), State: plane.ServerReady})
	}
	for b.Loop() {
		shown := &overviewView{Problems: problemsOf(o), Way: wayOf(o), Apps: appLines(o), Servers: serverLines(o)}
		var out bytes.Buffer
		if err := u.pages.render(&out, "overview.html", "layout", shown); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(out.Len()))
	}
}
