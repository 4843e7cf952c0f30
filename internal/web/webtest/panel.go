// Package webtest is a panel in memory for tests of the doors: how things look
// on the wire, who may come in, exit codes. What the verbs really do is tested
// with control itself and on real servers.
package webtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Token returns the token that signs in as the role.
func Token(r plane.Role) string { return "spt_" + string(r) }

// At is when everything in the panel happened.
func At() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// Panel answers the verbs from memory: one server s1 with one app web, whose
// Run run_1 has not ended. Its methods may be called from any goroutine.
type Panel struct {
	Known plane.Kinds // set before it is asked

	mu     sync.Mutex
	wishes map[string]any
	errors map[string]error
	during map[string]func()
	run    control.RunView
	events []plane.Event
	woken  chan struct{}
	open   bool
	name   string     // of the app, another than web
	kind   plane.Kind // of the app, as it was created
	other  bool       // what is recorded for the app is not in force
	alone  *bool      // the app restarts its only backend; whether that is asked for each time
	lb     *control.BalancerView
	follow control.LogFollower // or nil
	runs   int                 // in the list, the same one again and again; 0 means one
	served *control.ServedView
	became plane.Role // of everybody who comes with a token or session, or empty
}

// New returns a fresh panel.
func New() *Panel {
	return &Panel{
		wishes: map[string]any{}, errors: map[string]error{}, during: map[string]func(){}, woken: make(chan struct{}),
		run: control.RunView{
			Run: plane.Run{
				ID: "run_1", Kind: plane.RunDeploy, State: plane.RunRunning, Step: "build", Done: 1, Total: 4,
				DeploymentID: "dep_1", Actor: "me@example.com", Attempt: 1, CreatedAt: At(), StartedAt: At(),
			},
			AppName: "web", ServerNames: []string{"s1"},
		},
	}
}

// Fail makes the verb answer with err from now on.
func (p *Panel) Fail(verb string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors[verb] = err
}

// During calls fn while the verb runs, from now on.
func (p *Panel) During(verb string, fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.during[verb] = fn
}

// Wish returns what the verb was last called with, or nil if it was not.
func (p *Panel) Wish(verb string) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wishes[verb]
}

// Say appends a line to the Run's log.
func (p *Panel) Say(kind plane.EventKind, server, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, plane.Event{
		RunID: "run_1", Seq: int64(len(p.events) + 1), Time: At(), Kind: kind, Server: server, Text: text,
	})
	p.wake()
}

// End ends the Run.
func (p *Panel) End(state plane.RunState, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run.State, p.run.Reason, p.run.FinishedAt = state, reason, At().Add(time.Minute)
	p.wake()
}

func (p *Panel) wake() {
	close(p.woken)
	p.woken = make(chan struct{})
}

func (p *Panel) called(verb string, wish any) error {
	p.mu.Lock()
	p.wishes[verb] = wish
	err, during := p.errors[verb], p.during[verb]
	p.mu.Unlock()
	if during != nil {
		during()
	}
	return err
}

// about notes the name or id a verb was called with, as verb + " of".
func (p *Panel) about(verb, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wishes[verb+" of"] = name
}

func (p *Panel) start(verb string, wish any) (plane.Run, error) {
	err := p.called(verb, wish)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run.Run, err
}

// Authenticate knows one token for each role.
func (p *Panel) Authenticate(_ context.Context, token, from string) (plane.Actor, error) {
	for _, r := range []plane.Role{plane.RoleOwner, plane.RoleAdmin, plane.RoleViewer} {
		if token == Token(r) {
			return plane.Actor{UserID: "usr_1", Email: "me@example.com", Role: p.roleOf(r), From: from}, p.called("Authenticate", from)
		}
	}
	return plane.Actor{}, &plane.Error{Code: plane.CodeUnauthorized, Message: "the token is not valid"}
}

// PanelKey answers a fixed key.
func (p *Panel) PanelKey(context.Context, plane.Actor) (string, error) {
	return "ssh-ed25519 AAAA serverplane", p.called("PanelKey", struct{}{})
}

// HostKey answers a fixed key.
func (p *Panel) HostKey(_ context.Context, _ plane.Actor, address string, port int) (plane.HostKey, error) {
	return plane.HostKey{Fingerprint: "SHA256:host", Type: "ssh-ed25519"}, p.called("HostKey", fmt.Sprintf("%s:%d", address, port))
}

func server() plane.Server {
	return plane.Server{
		ID: "srv_1", Name: "s1", Address: netip.MustParseAddr("198.18.0.1"), PrivateAddress: netip.MustParseAddr("198.18.1.1"),
		SSHPort: 22, HostKey: "ssh-ed25519 AAAA", Firewall: plane.FirewallManage, State: plane.ServerReady, Since: At(), CreatedAt: At(),
		Survey: plane.Survey{TakenAt: At(), OS: "Debian GNU/Linux 12 (bookworm)", Cores: 2, MemoryMiB: 1024, Listening: []plane.Socket{{Proto: "tcp", Address: "0.0.0.0", Port: 22, Process: "sshd"}}},
	}
}

// AddServer starts the Run.
func (p *Panel) AddServer(_ context.Context, _ plane.Actor, w control.ServerWish) (plane.Server, plane.Run, error) {
	run, err := p.start("AddServer", w)
	return server(), run, err
}

// Servers answers s1.
func (p *Panel) Servers(context.Context, plane.Actor) ([]control.ServerView, error) {
	return []control.ServerView{{Server: server(), Apps: []string{"web"}}}, p.called("Servers", struct{}{})
}

// Server answers s1.
func (p *Panel) Server(_ context.Context, _ plane.Actor, name string) (control.ServerView, error) {
	return control.ServerView{Server: server(), Apps: []string{"web"}}, p.called("Server", name)
}

// RemoveServer does nothing.
func (p *Panel) RemoveServer(_ context.Context, _ plane.Actor, name string, forget bool) error {
	p.about("RemoveServer", fmt.Sprintf("%s, forget %t", name, forget))
	return p.called("RemoveServer", name)
}

// SurveyServer answers s1's survey.
func (p *Panel) SurveyServer(_ context.Context, _ plane.Actor, name string) (plane.Survey, error) {
	return server().Survey, p.called("SurveyServer", name)
}

// ProvisionServer starts the Run.
func (p *Panel) ProvisionServer(_ context.Context, _ plane.Actor, name string) (plane.Run, error) {
	return p.start("ProvisionServer", name)
}

func app() control.AppView {
	live := deployment()
	return control.AppView{
		App: plane.App{
			ID: "app_1", Name: "web", Kind: plane.KindNodeJS, Repository: "https://example.com/web.git", Branch: "main",
			Domains: []string{"web.example.com"}, Spec: plane.Spec{}.WithDefaults(plane.KindNodeJS), DeployKey: "ssh-ed25519 BBBB",
			DeployKeyPEM: []byte("hunter2"), State: plane.AppLive, Since: At(), Balancer: plane.NewLoadBalancer(), CreatedAt: At(),
		},
		ServerName: "s1", Live: &live, Gap: true, RestartCost: "only one backend serves, so there is a gap",
	}
}

// CreateApp starts the Run unless told not to.
func (p *Panel) CreateApp(_ context.Context, _ plane.Actor, w control.AppWish) (plane.App, *plane.Run, error) {
	run, err := p.start("CreateApp", w)
	p.mu.Lock()
	p.kind = w.Kind
	p.mu.Unlock()
	if w.NoDeploy {
		return app().App, nil, err
	}
	return app().App, &run, err
}

// Kinds are those it was made to know.
func (p *Panel) Kinds() []plane.Definition { return p.Known.All() }

// ProposeKind finds a Django with a Dockerfile beside it.
func (p *Panel) ProposeKind(_ context.Context, _ plane.Actor, w control.AppWish) (plane.Proposal, error) {
	files := plane.Files{Paths: []string{"manage.py", "Dockerfile"}}
	if w.Spec.Root != "" {
		files = plane.Files{Paths: []string{w.Spec.Root + "/manage.py", w.Spec.Root + "/Dockerfile"}}
	}
	proposal, err := p.Known.Propose(files, w.Spec)
	return proposal, errors.Join(err, p.called("ProposeKind", w))
}

// Apps answers web.
func (p *Panel) Apps(context.Context, plane.Actor) ([]control.AppView, error) {
	return []control.AppView{p.renamed()}, p.called("Apps", struct{}{})
}

// AppsAfter answers web, and behind it nothing.
func (p *Panel) AppsAfter(_ context.Context, _ plane.Actor, after string, limit int) ([]control.AppView, error) {
	p.mu.Lock()
	n := max(1, p.runs)
	p.mu.Unlock()
	all := slices.Repeat([]control.AppView{p.renamed()}, n)
	return all[:min(limit, n)], p.called("AppsAfter", fmt.Sprintf("%s %d", after, limit))
}

// App answers web.
func (p *Panel) App(_ context.Context, _ plane.Actor, name string) (control.AppView, error) {
	return p.renamed(), p.called("App", name)
}

// ChangeApp changes nothing.
func (p *Panel) ChangeApp(_ context.Context, _ plane.Actor, name string, c control.AppChange) (plane.App, error) {
	p.about("ChangeApp", name)
	return app().App, p.called("ChangeApp", c)
}

// ChangeAppSeen changes nothing.
func (p *Panel) ChangeAppSeen(_ context.Context, _ plane.Actor, name string, seen control.Seen, c control.AppChange) (plane.App, error) {
	p.about("ChangeAppSeen", name+" "+string(seen))
	return app().App, p.called("ChangeAppSeen", c)
}

// RemoveApp starts the Run.
func (p *Panel) RemoveApp(_ context.Context, _ plane.Actor, name string) (plane.Run, error) {
	return p.start("RemoveApp", name)
}

// EnableBalancer starts the Run.
func (p *Panel) EnableBalancer(_ context.Context, _ plane.Actor, app string, w control.BalancerWish) (plane.Run, error) {
	p.about("EnableBalancer", app)
	return p.start("EnableBalancer", w)
}

func backend() control.BackendView {
	return control.BackendView{
		Backend: plane.Backend{
			ID: "bck_1", Primary: true, Enabled: true, Placed: true, Weight: 1, ReleaseID: "20260304050607-0123456", Runtime: "Node.js v22.1.0",
			Health: plane.Health{
				State: plane.BackendUnhealthy, Since: At(), CheckedAt: At(), Vantage: "s1, forwarded over SSH", Answer: "HTTP 404",
				Reason: "answered 404; expected 200, 201, 204, 301 or 302", Latency: plane.Duration(3 * time.Millisecond),
			},
		},
		AppName: "web", ServerName: "s1", Address: "198.18.1.1:20003",
	}
}

// AddBackend starts the Run.
func (p *Panel) AddBackend(_ context.Context, _ plane.Actor, app string, w control.BackendWish) (plane.Run, error) {
	p.about("AddBackend", app)
	return p.start("AddBackend", w)
}

// Backends answers the primary's.
func (p *Panel) Backends(_ context.Context, _ plane.Actor, app string) ([]control.BackendView, error) {
	return []control.BackendView{backend()}, p.called("Backends", app)
}

// Backend answers the primary's.
func (p *Panel) Backend(_ context.Context, _ plane.Actor, app, server string) (control.BackendView, error) {
	p.about("Backend", app)
	return backend(), p.called("Backend", server)
}

// Overview answers s1, web, its backend and the Run.
func (p *Panel) Overview(context.Context, plane.Actor) (control.Overview, error) {
	err := p.called("Overview", struct{}{})
	a := p.renamed()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := backend()
	b.AppName, b.Health.Reason = a.Name, a.Name
	ended := p.run
	ended.State, ended.Reason = plane.RunFailed, a.Name
	return control.Overview{
		Servers: []plane.Server{server()}, Apps: []control.AppOverview{{App: a.App, ServerName: a.ServerName, Backends: []control.BackendView{b}}},
		Open: []control.RunView{p.run}, Troubled: []control.RunView{ended},
	}, err
}

// Audits answers one line.
func (p *Panel) Audits(_ context.Context, _ plane.Actor, before string, limit int) ([]plane.Audit, error) {
	return []plane.Audit{{ID: "aud_1", Time: At(), Email: "me@example.com", From: "127.0.0.1", Action: "app.create", Subject: "web"}},
		p.called("Audits", fmt.Sprintf("%s %d", before, limit))
}

// Unapplied has what is recorded for the app differ from what is in force.
func (p *Panel) Unapplied() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.other = true
}

// Alone has the app restart its only backend, which asked says is to be acknowledged each time.
func (p *Panel) Alone(asked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alone = &asked
}

// Rename calls the app by another name, for pages that must take any text for text.
func (p *Panel) Rename(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.run.AppName, p.run.Step, p.run.Reason = name, name, name, name
}

// renamed is the app by the name it has now.
func (p *Panel) renamed() control.AppView {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := app()
	if p.name != "" {
		a.Name, a.LiveID = p.name, "dep_1"
	}
	a.Unapplied = p.other
	if p.alone != nil {
		a.Spec.Options, a.GapAsked = map[string]string{plane.OptionSwitch: plane.SwitchRestart}, *p.alone
	}
	if kind, err := (plane.Kinds{}).Of(p.kind); err == nil {
		a.Kind, a.Beside, a.Shared = p.kind, kind.BesideLines(a.Name), kind.SharedPaths(a.Spec.Options)
	}
	return a
}

// Repeat makes the lists of Runs and apps that long, with the same one.
func (p *Panel) Repeat(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs = n
}
