package still

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Size is how much a panel has come to know.
type Size struct {
	Servers     int
	Apps        int
	Backends    int // of each app, at most Servers
	Deployments int // of each app
	Runs        int // of the panel, ended
	Lines       int // of the log of each Run that has one
	Audits      int
	Minutes     int // of health behind the first app's backends
}

// filler writes one panel's life, the oldest first.
type filler struct {
	Size
	*Panel
	tx      *store.Tx
	mark    string
	now     time.Time
	servers []plane.Server
	apps    []plane.App
}

// Fill writes servers, apps and all that happened to them. Every text that a
// person, a commit, a server or a visitor could have chosen ends with the mark.
// The first app is Shop; the first server carries it.
func (p *Panel) Fill(ctx context.Context, size Size, mark string) error {
	p.mark = mark
	return p.store.Write(ctx, func(tx *store.Tx) error {
		f := &filler{Size: size, Panel: p, tx: tx, mark: mark, now: time.Now().UTC().Truncate(time.Second)}
		for _, write := range []func(context.Context) error{f.fillServers, f.fillApps, f.fillDatabase, f.fillProcesses, f.fillRuns, f.fillAudits, f.fillPeople} {
			if err := write(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// Names of what every filled panel has.
const (
	Shop   = "shop"   // an app on several servers, in trouble
	Fresh  = "fresh"  // an app that was never deployed
	Single = "single" // an app on one server
	First  = "s1"
)

// said is a text of somebody else's.
func (f *filler) said(text string) string { return text + f.mark }

func (f *filler) ago(d time.Duration) time.Time { return f.now.Add(-d) }

func (f *filler) fillServers(ctx context.Context) error {
	for n := range f.Servers {
		s := plane.Server{
			ID: plane.NewID(plane.PrefixServer), Name: fmt.Sprintf("s%d", n+1), SSHPort: 22, HostKey: "ssh-ed25519 AAAA", Firewall: plane.FirewallManage,
			Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(n + 1)}), PrivateAddress: netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}),
			State: plane.ServerReady, Since: f.ago(90 * time.Hour), CreatedAt: f.ago(200 * time.Hour), Survey: f.survey(),
		}
		switch n {
		case 2:
			s.NginxError, s.NginxCheckedAt = f.said(`nginx: [emerg] unknown directive "sevrer" in /etc/nginx/sites-enabled/old-blog:3`), f.ago(3*time.Minute)
		case 4:
			s.State, s.Since, s.Reason = plane.ServerUnreachable, f.ago(12*time.Minute), f.said("dial tcp 203.0.113.5:22: i/o timeout")
		case 5:
			s.State, s.Since, s.Reason = plane.ServerFailed, f.ago(50*time.Minute), f.said("apt is held by unattended-upgrades since 11 min; repeat with server provision")
		}
		if err := f.tx.CreateServer(ctx, s); err != nil {
			return err
		}
		f.servers = append(f.servers, s)
	}
	return nil
}

func (f *filler) survey() plane.Survey {
	return plane.Survey{
		TakenAt: f.ago(90 * time.Hour), OS: f.said("Debian GNU/Linux 12 (bookworm)"), OSFamily: "debian", OSVersion: "12", Arch: "x86_64", Cores: 2, MemoryMiB: 3935,
		DiskFreeMiB: 31240, Addresses: []string{"10.0.0.1"}, SSHPort: 22, Firewall: "ufw", Node: f.said("18.20.4"), Databases: []string{f.said("PostgreSQL 15")},
		Listening: []plane.Socket{{Proto: "tcp", Address: "0.0.0.0", Port: 22, Process: "sshd"}, {Proto: "tcp", Address: "0.0.0.0", Port: 80, Process: f.said("nginx")}},
	}
}

// appName is the name of the nth app.
func appName(n int) string {
	if names := []string{Shop, Fresh, Single, "api", "intranet", "docs"}; n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("app%d", n)
}

func (f *filler) fillApps(ctx context.Context) error {
	for n := range f.Apps {
		a := plane.App{
			ID: plane.NewID(plane.PrefixApp), Name: appName(n), Kind: plane.KindNodeJS, ServerID: f.servers[n%len(f.servers)].ID, Branch: f.said("main"),
			Repository: f.said("https://git.example.com/ann/" + appName(n) + ".git"), Domains: []string{appName(n) + ".example.com"},
			Spec:  plane.Spec{Start: f.said("npm start"), Build: []string{"npm ci", f.said("npm run build --if-present")}}.WithDefaults(plane.KindNodeJS),
			State: plane.AppLive, Since: f.ago(70 * time.Hour), CreatedAt: f.ago(199 * time.Hour), Balancer: plane.NewLoadBalancer(),
			DeployKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJPbTBFPNJx9cPH6nvYFjl3Jq3xRw5z6pOSLYtUB1fXk serverplane " + appName(n),
		}
		if a.Name == Fresh {
			a.State, a.Since = plane.AppNew, a.CreatedAt
		}
		if a.Name != Fresh && a.Name != Single {
			a.Balancer.Status = plane.BalancerOn
		}
		if n == 3 {
			a.Balancer.Method = plane.LeastConnections
		}
		if err := f.tx.CreateApp(ctx, a); err != nil {
			return err
		}
		if err := f.fillApp(ctx, &a, n); err != nil {
			return err
		}
		f.apps = append(f.apps, a)
	}
	return nil
}

func (f *filler) fillApp(ctx context.Context, a *plane.App, n int) error {
	if a.Name == Fresh {
		return nil
	}
	for k := range f.Deployments {
		if err := f.deployment(ctx, a, k); err != nil {
			return err
		}
	}
	if err := f.variables(ctx, *a); err != nil {
		return err
	}
	if err := f.tx.SetEntryLog(ctx, plane.EntryLog{AppID: a.ID, Since: f.ago(60 * time.Hour), ReadAt: f.ago(3 * time.Second)}, f.now); err != nil {
		return err
	}
	count := f.Backends
	if a.Name == Single {
		count = 1
	}
	for k := range min(count, len(f.servers)) {
		if err := f.backend(ctx, *a, n, k); err != nil {
			return err
		}
	}
	return nil
}

// values are an app's variables.
func (f *filler) values() map[string]string {
	return map[string]string{
		"DATABASE_URL": f.said("postgresql://shop:secret@10.0.0.1/shop"), "SESSION_SECRET": f.said("b5c1e2a87d"), "SMTP_HOST": f.said("mail.example.com"),
	}
}

func (f *filler) variables(ctx context.Context, a plane.App) error {
	for name, value := range f.values() {
		sealed, err := f.box.Seal([]byte(value), plane.SealVariable(a.ID, name))
		if err != nil {
			return err
		}
		if err := f.tx.SetVariable(ctx, plane.Variable{AppID: a.ID, Name: name, Sealed: sealed, UpdatedAt: f.ago(100 * time.Hour)}); err != nil {
			return err
		}
	}
	return nil
}

// began are the variables a deployment began with, sealed; Shop has got one since.
func (f *filler) began(a *plane.App, deployment string) ([]byte, error) {
	values := f.values()
	if a.Name == Shop {
		delete(values, "SMTP_HOST")
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	return f.box.Seal(raw, plane.SealDeployment(deployment))
}

// subjects are what people write into commits.
func subjects() []string {
	return []string{"Show prices with taxes", "Send the receipt by mail", "Cache the list of articles for a minute", "Fix the address form on telephones", "Update express to 4.21.2"}
}

// deployment writes the kth, the last of which is live; the one before it failed.
func (f *filler) deployment(ctx context.Context, a *plane.App, k int) error {
	asked := f.ago(time.Duration(f.Deployments-k) * 7 * time.Hour)
	commit := strings.Repeat(fmt.Sprintf("%08x", 0x9e3779b9*uint32(k+3)), 5)
	d := plane.Deployment{
		ID: plane.NewID(plane.PrefixDeployment), AppID: a.ID, Trigger: plane.TriggerManual, Ref: a.Branch, Commit: commit, Author: f.said("Ann Doe"),
		Subject: f.said(subjects()[k%len(subjects())]), Slot: plane.SlotA, Spec: a.Spec, State: plane.DeploymentCompleted, Actor: Owner, CreatedAt: asked, StartedAt: asked.Add(time.Second),
		LiveAt: asked.Add(31 * time.Second), FinishedAt: asked.Add(64 * time.Second),
	}
	d.ReleaseID = plane.ReleaseID(asked, d.Commit)
	part := plane.Part{Server: f.servers[0].Name, State: plane.PartLive, Since: d.LiveAt}
	if k == f.Deployments-2 {
		d.State, d.LiveAt, d.Reason = plane.DeploymentFailed, time.Time{}, f.said("npm run build ended with 1: Error: Cannot find module './prices'")
		part.State, part.Reason = plane.PartFailed, d.Reason
	}
	d.Parts = []plane.Part{part}
	var err error
	if d.Variables, err = f.began(a, d.ID); err != nil {
		return err
	}
	if err := f.tx.CreateDeployment(ctx, d); err != nil {
		return err
	}
	if err := f.tx.SetParts(ctx, d.ID, d.Parts); err != nil {
		return err
	}
	if k != f.Deployments-1 {
		return nil
	}
	a.LiveID, a.LiveSlot = d.ID, plane.SlotA
	return f.tx.SetLive(ctx, a.ID, plane.SlotA, d.ID)
}

// backend writes the kth backend of the nth app; those of Shop are in every state.
func (f *filler) backend(ctx context.Context, a plane.App, n, k int) error {
	s := f.servers[(n+k)%len(f.servers)]
	b := plane.Backend{
		ID: plane.NewID(plane.PrefixBackend), AppID: a.ID, ServerID: s.ID, Primary: k == 0, Enabled: true, WishedAt: f.ago(80 * time.Hour), Placed: true, Weight: 1,
		Ports:  plane.Ports{ProcessA: 23000 + n, ProcessB: 24000 + n, SiteA: 21000 + n, SiteB: 22000 + n},
		SeenAs: f.servers[n%len(f.servers)].PrivateAddress, ReleaseID: "20260304050607-0123456", DeploymentID: a.LiveID, CreatedAt: f.ago(80*time.Hour - time.Duration(k)*time.Minute),
		Health: f.health(plane.BackendHealthy, "HTTP 200", "answered 200"),
	}
	if a.Name == Shop {
		switch k {
		case 1:
			b.Health = f.health(plane.BackendUnhealthy, "HTTP 598", "the app's process does not listen")
		case 2:
			b.Enabled, b.WishedAt = false, f.ago(26*time.Minute)
		case 3:
			b.Weight, b.Health = 2, f.health(plane.BackendUnknown, "open failed", "s1 forwards no connection; nothing is known about the backend")
		}
	}
	if err := f.tx.CreateBackend(ctx, b); err != nil {
		return err
	}
	if a.Name == Shop {
		return f.past(ctx, b)
	}
	return nil
}

func (f *filler) health(state plane.BackendState, answer, reason string) plane.Health {
	return plane.Health{
		State: state, Since: f.ago(41 * time.Minute), CheckedAt: f.ago(4 * time.Second), Vantage: f.said("s1, forwarded over SSH"), Answer: f.said(answer),
		Reason: f.said(reason), Latency: plane.Duration(7 * time.Millisecond),
	}
}

// served is what visitors had of a backend in a minute.
func (f *filler) served(ctx context.Context, b plane.Backend, minute time.Time, k int) error {
	if !b.Enabled {
		return nil
	}
	s := plane.Served{Requests: 300 + k%70}
	for n := range s.Requests {
		s.Latency = s.Latency.Add(time.Duration(6+n%40) * time.Millisecond)
	}
	if b.Health.State == plane.BackendUnhealthy {
		s.Errors, s.PassedOn = k%5, 40
	}
	return f.tx.AddServed(ctx, b.AppID, plane.ServedPiece{BackendID: b.ID, Begin: minute, Served: s}, f.now)
}

// past is how a backend fared.
func (f *filler) past(ctx context.Context, b plane.Backend) error {
	for k := range f.Minutes {
		m := plane.HealthMinute{Minute: plane.Minute(f.ago(time.Duration(f.Minutes-k) * time.Minute)), Probes: 6, Latency: time.Duration(5+k%4) * time.Millisecond, Slowest: time.Duration(9+k%11) * time.Millisecond}
		if k%37 == 30 {
			m.Failures = 3
		}
		if err := f.served(ctx, b, m.Minute, k); err != nil {
			return err
		}
		if err := f.tx.AddHealthMinute(ctx, b.ID, m); err != nil {
			return err
		}
	}
	for k := min(f.Minutes, 12) - 1; k >= 0; k-- { // the oldest first
		c := plane.HealthChange{At: f.ago(time.Duration(k+1) * 41 * time.Minute), Was: plane.BackendHealthy, Became: plane.BackendUnhealthy, Vantage: f.said("s1"), Answer: f.said("HTTP 500"), Reason: f.said("answered 500, a server error")}
		if k%2 == 1 {
			c.Was, c.Became, c.Answer, c.Reason = c.Became, c.Was, f.said("HTTP 200"), f.said("answered 200")
		}
		if err := f.tx.AppendHealthChange(ctx, b.ID, c); err != nil {
			return err
		}
	}
	return nil
}
