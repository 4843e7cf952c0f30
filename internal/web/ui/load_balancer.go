package ui

import (
	"context"
	"net/url"
	"slices"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// BalancerVerbs are the verbs about an app's load balancer as a whole.
type BalancerVerbs interface {
	Balancer(ctx context.Context, actor plane.Actor, app string) (control.BalancerView, error)
	EnableBalancer(ctx context.Context, actor plane.Actor, app string, w control.BalancerWish) (plane.Run, error)
	SetBalancer(ctx context.Context, actor plane.Actor, app string, ch control.BalancerChange) (control.Steered, error)
	PreviewBalancer(ctx context.Context, actor plane.Actor, app string, method plane.Method) (control.Preview, error)
	DisableBalancer(ctx context.Context, actor plane.Actor, app string, w control.DisableWish) (plane.Run, error)
}

// MeshVerbs are what the load balancer's pages ask about the rest of the panel.
type MeshVerbs interface {
	App(ctx context.Context, actor plane.Actor, name string) (control.AppView, error)
	Servers(ctx context.Context, actor plane.Actor) ([]control.ServerView, error)
}

// balancerPage is what every page below an app's tab Load Balancer has.
type balancerPage struct {
	page
	App   control.AppView
	LB    control.BalancerView
	Lines []backendLine // the primary first
	Runs  []control.RunView
}

// Home is the tab's address.
func (p *balancerPage) Home() string { return balancerHome(p.App.Name) }

// Tabs is the row of the app's pages.
func (p *balancerPage) Tabs() tabs { return tabs{p.App.Name, "load-balancer"} }

// On tells whether several backends may serve.
func (p *balancerPage) On() bool {
	return p.LB.Status == plane.BalancerOn || p.LB.Status == plane.BalancerApplying
}

// Open are the Runs about the app that have not ended.
func (p *balancerPage) Open() []control.RunView {
	return slices.DeleteFunc(slices.Clone(p.Runs), func(r control.RunView) bool { return r.State.Ended() })
}

// Remainder is the newest Run that took backends away, if it left something on a server.
func (p *balancerPage) Remainder() *control.RunView {
	for _, r := range p.Runs {
		if r.Kind != plane.RunLeave && r.Kind != plane.RunDisable {
			continue
		}
		if r.State.Ended() && slices.ContainsFunc(r.Receipt, func(l plane.ReceiptLine) bool { return !l.Done }) {
			return &r
		}
		return nil
	}
	return nil
}

// Wires are the lines of the drawing, from the entry to each backend.
func (p *balancerPage) Wires() []wire { return wiresOf(p.Lines) }

// Serving counts the backends that get visitors, and those of them that are healthy.
func (p *balancerPage) Serving() (in struct{ All, Healthy int }) {
	for _, l := range p.Lines {
		if l.In {
			in.All++
		}
		if l.In && l.State() == plane.BackendHealthy {
			in.Healthy++
		}
	}
	return in
}

func balancerHome(app string) string { return "/apps/" + url.PathEscape(app) + "/load-balancer" }

const runsOfApp = 30 // how far back a tab looks for what is under way or was left over

func (u *UI) balancerPage(v *visit, app, title string) (balancerPage, error) {
	var p balancerPage
	a, err := u.control.App(v.ctx(), v.actor, app)
	if err != nil {
		return p, err
	}
	lb, err := u.control.Balancer(v.ctx(), v.actor, app)
	if err != nil {
		return p, err
	}
	runs, err := u.control.Runs(v.ctx(), v.actor, control.RunFilter{App: app, Limit: runsOfApp})
	p = balancerPage{page: u.page(v, title), App: a, LB: lb, Runs: runs, Lines: linesOf(lb, a.LiveID)}
	p.Area = "apps"
	return p, err
}

// balancerView is the tab itself.
type balancerView struct {
	balancerPage
	Methods []methodCard
	Served  servedView
}

func (u *UI) balancer(v *visit) error {
	shown, err := u.loadBalancer(v, v.path("name"))
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("load-balancer", v.path("name"), 0)
	return u.show(v, "load-balancer.html", shown)
}

func (u *UI) loadBalancer(v *visit, app string) (view, error) {
	p, err := u.balancerPage(v, app, "Load Balancer of "+app)
	if err != nil {
		return nil, err
	}
	served, err := u.servedOf(v, app)
	return &balancerView{balancerPage: p, Methods: methodCards(chosenMethod(v.form, p.LB.Method)), Served: served}, err
}

// methodCard explains one way to share visitors out.
type methodCard struct {
	Method     plane.Method
	What, When string
	Chosen     bool
}

func methodCards(chosen plane.Method) []methodCard {
	cards := []methodCard{
		{plane.RoundRobin, "Each backend in turn gets the next request.", "The right choice for most apps: any backend can answer any request.", false},
		{plane.LeastConnections, "The backend with the fewest requests under way gets the next one.", "When some requests take much longer than others: uploads, reports, streams.", false},
		{plane.IPHash, "A visitor's address decides, so that the same visitor comes back to the same backend.", "A workaround for apps that keep sessions on their own disk. If that backend goes away, its sessions are lost. No backup backends.", false},
	}
	for i := range cards {
		cards[i].Chosen = cards[i].Method == chosen
	}
	return cards
}

func chosenMethod(f Form, now plane.Method) plane.Method {
	if typed := f.Value("method"); typed != "" {
		return plane.Method(typed)
	}
	return now
}

// enableBalancer demands the app's name and the ticked warning: what is read is
// what the audit log keeps.
func (u *UI) enableBalancer(v *visit) error {
	app := v.path("name")
	wish := control.BalancerWish{Method: plane.Method(v.form.Value("method"))}
	if v.form.Checked("acknowledge") {
		wish.Acknowledge = []string{control.WarningFiles}
	}
	if err := v.confirmed(app); err != nil {
		return v.again(err, u.balancer)
	}
	run, err := u.control.EnableBalancer(v.ctx(), v.actor, app, wish)
	if err != nil {
		return v.again(err, u.balancer)
	}
	return v.see("/runs/"+url.PathEscape(run.ID), "")
}

// steered goes back to a page with how far a wish about traffic has come: in
// force, or taken up by a Run that goes on with it.
func (v *visit) steered(s control.Steered, err error, to string, show func(*visit) error) error {
	switch {
	case err != nil:
		return v.again(err, show)
	case s.Run != nil:
		return v.see("/runs/"+url.PathEscape(s.Run.ID), "goes-on")
	}
	return v.see(to, "in-force")
}

type disableView struct {
	balancerPage
	Then []shift
}

func (u *UI) disablePage(v *visit) error {
	p, err := u.balancerPage(v, v.path("name"), "Disable Load Balancer")
	if err != nil {
		return err
	}
	only := p.LB
	only.Status = plane.BalancerOff
	return u.show(v, "load-balancer-disable.html", &disableView{balancerPage: p, Then: shiftsOf(p.Lines, linesOf(only, p.App.LiveID))})
}

func (u *UI) disableBalancer(v *visit) error {
	app := v.path("name")
	if err := v.confirmed(app); err != nil {
		return v.again(err, u.disablePage)
	}
	run, err := u.control.DisableBalancer(v.ctx(), v.actor, app, control.DisableWish{
		RemoveBackends: v.form.Checked("remove_backends"), Discard: v.form.Checked("discard"),
	})
	if err != nil {
		return v.again(err, u.disablePage)
	}
	return v.see("/runs/"+url.PathEscape(run.ID), "")
}
