package ui

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// OverviewVerbs are the verbs the first page asks.
type OverviewVerbs interface {
	Overview(ctx context.Context, actor plane.Actor) (control.Overview, error)
	PanelKey(ctx context.Context, actor plane.Actor) (string, error)
}

// overviewView answers: is anything wrong, and what should I do?
type overviewView struct {
	page
	Problems            []Problem
	More                int // problems beyond those shown
	Way                 []wayStep
	Key                 string    // the panel's public key, while there is no server
	Apps                []appLine // those that are not as they should be come first
	Servers             []serverLine
	AllApps, AllServers int
	Open                []control.RunView
}

// MoreApps and MoreServers tell whether there are more than are shown.
func (o *overviewView) MoreApps() bool    { return len(o.Apps) < o.AllApps }
func (o *overviewView) MoreServers() bool { return len(o.Servers) < o.AllServers }

type appLine struct {
	Name, Server string
	State        plane.AppState
	Balancer     plane.BalancerStatus
	Healthy      int
	Of           int // backends that should serve
}

type serverLine struct {
	Name    string
	Address string
	State   plane.ServerState
	Apps    int
}

// wayStep is one step of the way a newcomer goes.
type wayStep struct {
	Done                     bool
	Next                     bool // the first that is not done
	Text, Why, Address, Link string
}

func (u *UI) overview(v *visit) error {
	shown, err := u.loadOverview(v, "")
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("overview", "", 0)
	return u.show(v, "overview.html", shown)
}

// How much of everything the first page shows: it answers on one screen, and
// the lists have pages of their own.
const (
	problemsShown = 10
	linesShown    = 12
)

func (u *UI) loadOverview(v *visit, _ string) (view, error) {
	o, err := u.control.Overview(v.ctx(), v.actor)
	if err != nil {
		return nil, err
	}
	shown := &overviewView{page: u.page(v, "Overview"), Problems: problemsOf(o), Way: wayOf(o), Open: o.Open, Apps: appLines(o), Servers: serverLines(o)}
	shown.AllApps, shown.AllServers = len(shown.Apps), len(shown.Servers)
	shown.Apps = worstFirst(shown.Apps, func(a appLine) bool { return a.State != plane.AppLive || a.Healthy < a.Of })
	shown.Servers = worstFirst(shown.Servers, func(s serverLine) bool { return s.State != plane.ServerReady })
	if n := len(shown.Problems); n > problemsShown {
		shown.Problems, shown.More = shown.Problems[:problemsShown], n-problemsShown
	}
	if len(o.Servers) == 0 {
		shown.Key, err = u.control.PanelKey(v.ctx(), v.actor)
	}
	return shown, err
}

// worstFirst are the lines the page has room for, those in trouble first.
func worstFirst[T any](all []T, wrong func(T) bool) []T {
	slices.SortStableFunc(all, func(a, b T) int {
		switch {
		case wrong(a) == wrong(b):
			return 0
		case wrong(a):
			return -1
		}
		return 1
	})
	return all[:min(linesShown, len(all))]
}

func appLines(o control.Overview) []appLine {
	lines := make([]appLine, len(o.Apps))
	for i, a := range o.Apps {
		lines[i] = appLine{Name: a.Name, Server: a.ServerName, State: a.State, Balancer: a.Balancer.Status}
		for _, b := range a.Backends {
			switch b.State() {
			case plane.BackendOff, plane.BackendRemoving:
			case plane.BackendHealthy:
				lines[i].Healthy++
				lines[i].Of++
			default:
				lines[i].Of++
			}
		}
	}
	return lines
}

func serverLines(o control.Overview) []serverLine {
	carried := map[string]int{}
	for _, a := range o.Apps {
		for _, b := range a.Backends {
			carried[b.ServerID]++
		}
	}
	lines := make([]serverLine, len(o.Servers))
	for i, s := range o.Servers {
		lines[i] = serverLine{Name: s.Name, Address: s.Address.String(), State: s.State, Apps: carried[s.ID]}
	}
	return lines
}

// wayOf leads from an empty panel to an app on several servers; nil once that
// way has been gone.
func wayOf(o control.Overview) []wayStep {
	var ready, app, live, on bool
	address := "/apps"
	for _, s := range o.Servers {
		ready = ready || s.State == plane.ServerReady
	}
	for _, a := range o.Apps {
		app, live, on = true, live || a.LiveID != "", on || a.Balancer.Status == plane.BalancerOn
		address = "/apps/" + url.PathEscape(a.Name)
	}
	way := []wayStep{
		{Done: ready, Text: "Add a server", Why: "a Debian machine you can reach over SSH; the panel prepares it", Address: "/servers/new", Link: "Add server"},
		{Done: app, Text: "Create an app", Why: "a Git repository and how it is built and started", Address: "/apps/new", Link: "Create app"},
		{Done: live, Text: "Deploy it", Why: "the first deployment makes it answer on its server", Address: address, Link: "Open the app"},
		{Done: on, Text: "Enable the load balancer", Why: "then add further servers as backends", Address: address + "/load-balancer", Link: "Load Balancer"},
	}
	if len(o.Servers) > 0 && !ready {
		way[0].Why, way[0].Address, way[0].Link = "the first one is not ready yet", "/servers", "Look at it"
	}
	next := slices.IndexFunc(way, func(s wayStep) bool { return !s.Done })
	if next < 0 {
		return nil
	}
	way[next].Next = true
	return way
}

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	Look   string // bad, warn or unknown
	Title  string
	Reason string
	Links  []link
}

type link struct{ Text, Address string }

// problemsOf finds everything that is wrong, the worst first.
func problemsOf(o control.Overview) []Problem {
	var all []Problem
	for _, s := range o.Servers {
		all = append(all, serverProblems(s)...)
	}
	for _, a := range o.Apps {
		all = append(all, appProblems(a)...)
	}
	for _, r := range o.Troubled {
		if r.Kind == plane.RunBackup {
			continue // its database tells of it, until a dump is made
		}
		all = append(all, Problem{
			Look: badge(r.State).Look, Title: runTitle(r) + " " + string(r.State), Reason: r.Reason,
			Links: []link{{"Look at the Run", "/runs/" + url.PathEscape(r.ID)}},
		})
	}
	rank := map[string]int{"bad": 0, "unknown": 1, "warn": 2}
	slices.SortStableFunc(all, func(a, b Problem) int { return cmp.Compare(rank[a.Look], rank[b.Look]) })
	return all
}

// runTitle says what a Run is about: "Deploy: shop", "Prepare server: s2".
func runTitle(r control.RunView) string {
	about := r.AppName
	if about == "" {
		about = strings.Join(r.ServerNames, ", ")
	}
	if about == "" {
		return label(r.Kind)
	}
	return label(r.Kind) + ": " + about
}

func serverProblems(s plane.Server) []Problem {
	open := []link{{"Open " + s.Name, "/servers/" + url.PathEscape(s.Name)}}
	switch {
	case s.State == plane.ServerUnreachable:
		return []Problem{{"bad", s.Name + " cannot be reached", s.Reason, open}}
	case s.State == plane.ServerFailed:
		return []Problem{{"bad", s.Name + " could not be prepared", s.Reason, open}}
	case s.TreeError != "":
		return []Problem{{"bad", "Nginx on " + s.Name + " refuses a change", s.TreeError, open}}
	case s.NginxError != "":
		return []Problem{{"warn", "Nginx on " + s.Name + " would refuse the next change", s.NginxError, open}}
	}
	return nil
}

func appProblems(a control.AppOverview) []Problem {
	home := "/apps/" + url.PathEscape(a.Name)
	var all []Problem
	if a.State == plane.AppFailed {
		all = append(all, Problem{"bad", a.Name + " could not be deployed", a.Reason, []link{{"Deployments", home + "/deployments"}}})
	}
	if a.Balancer.Status == plane.BalancerFailed {
		all = append(all, Problem{"bad", "Load balancing of " + a.Name + " could not be enabled", a.Balancer.Reason, []link{{"Load Balancer", home + "/load-balancer"}}})
	}
	for _, d := range a.Databases {
		if d.Stranger.Verdict == plane.Pass {
			all = append(all, Problem{"bad", "Database " + d.Name + " let a stranger in", d.Stranger.Vantage + ", signed in", []link{{"Database", home + "/database"}}})
		}
		if d.Backups.Trouble != "" {
			all = append(all, Problem{"bad", "The last dump of database " + d.Name + " came to nothing", d.Backups.Trouble, []link{{"Database", home + "/database"}}})
		}
	}
	if a.LiveID == "" {
		return all // what was never deployed cannot be unhealthy
	}
	return append(all, backendProblems(a, home)...)
}

// backendProblems tells of an app's backends in one line for each state: a fleet
// that is down is one problem, not fifty.
func backendProblems(a control.AppOverview, home string) []Problem {
	in := map[plane.BackendState][]control.BackendView{}
	for _, b := range a.Backends {
		in[b.State()] = append(in[b.State()], b)
	}
	var all []Problem
	for _, k := range []struct {
		state plane.BackendState
		look  string
		words string
	}{
		{plane.BackendUnhealthy, "bad", "unhealthy"}, {plane.BackendUnknown, "unknown", "out of the panel's sight"}, {plane.BackendRemoving, "warn", "not removed completely"},
	} {
		if some := in[k.state]; len(some) > 0 && (k.state != plane.BackendRemoving || some[0].Health.Reason != "") {
			all = append(all, Problem{k.look, backendTitle(a, some, k.words), some[0].Health.Reason, []link{{"Load Balancer", home + "/load-balancer"}}})
		}
	}
	return all
}

func backendTitle(a control.AppOverview, some []control.BackendView, words string) string {
	if len(some) == 1 {
		return fmt.Sprintf("%s on %s is %s", a.Name, some[0].ServerName, words)
	}
	return fmt.Sprintf("%d of %s of %s are %s", len(some), plural(len(a.Backends), "backend"), a.Name, words)
}
