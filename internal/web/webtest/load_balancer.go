package webtest

import (
	"context"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Balancer answers the one of web: on, with the primary's backend, or what
// Balance was told.
func (p *Panel) Balancer(_ context.Context, _ plane.Actor, app string) (control.BalancerView, error) {
	err := p.called("Balancer", app)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lb != nil {
		return *p.lb, err
	}
	view := Balanced(backend())
	if p.name != "" {
		view.App, view.PendingReason, view.Pending = p.name, p.name, true
		view.Backends[0].Health.Answer, view.Backends[0].Health.Reason, view.Backends[0].Health.Vantage = p.name, p.name, p.name
	}
	return view, err
}

// Balance is what Balancer answers from now on.
func (p *Panel) Balance(lb control.BalancerView) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lb = &lb
}

// Balanced is web's load balancer, on, with these backends.
func Balanced(backends ...control.BackendView) control.BalancerView {
	lb := plane.NewLoadBalancer()
	lb.Status = plane.BalancerOn
	return control.BalancerView{LoadBalancer: lb, App: "web", Path: "/up", Backends: backends}
}
