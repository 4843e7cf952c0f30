package webtest

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// steered is in force at once, except on the server that is away.
func (p *Panel) steered(verb, app, server string, wish any) (control.Steered, error) {
	p.about(verb, app+" on "+server)
	if server == "away" {
		run, err := p.start(verb, wish)
		return control.Steered{Run: &run, Reason: "Nginx on s1 has not taken it"}, err
	}
	return control.Steered{InForce: true}, p.called(verb, wish)
}

// SwitchOff is in force at once; s9 is the last healthy one.
func (p *Panel) SwitchOff(_ context.Context, _ plane.Actor, app, server string, yes bool) (control.Steered, error) {
	if server == "s9" && !yes {
		return control.Steered{}, &plane.Error{Code: plane.CodeConflict, Field: "yes", Message: `"s9" is the last healthy one that serves "web"`, Hint: "to go on all the same, add --yes"}
	}
	return p.steered("SwitchOff", app, server, yes)
}

// SwitchOn is in force at once.
func (p *Panel) SwitchOn(_ context.Context, _ plane.Actor, app, server string) (control.Steered, error) {
	return p.steered("SwitchOn", app, server, struct{}{})
}

// SetBackend is in force at once.
func (p *Panel) SetBackend(_ context.Context, _ plane.Actor, app, server string, ch control.BackendChange) (control.Steered, error) {
	return p.steered("SetBackend", app, server, ch)
}

// SetBalancer is in force at once.
func (p *Panel) SetBalancer(_ context.Context, _ plane.Actor, app string, ch control.BalancerChange) (control.Steered, error) {
	return p.steered("SetBalancer", app, "", ch)
}

// PreviewBalancer answers a short file.
func (p *Panel) PreviewBalancer(_ context.Context, _ plane.Actor, app string, m plane.Method) (control.Preview, error) {
	return control.Preview{Path: "conf.d/sp-web.conf", Text: "upstream app {\n}\n", Version: "1-abc"},
		p.called("PreviewBalancer", fmt.Sprintf("%s %s", app, m))
}

// DisableBalancer starts the Run.
func (p *Panel) DisableBalancer(_ context.Context, _ plane.Actor, app string, w control.DisableWish) (plane.Run, error) {
	p.about("DisableBalancer", app)
	return p.start("DisableBalancer", w)
}

// CheckBackend answers a pass, but of s9 a failure.
func (p *Panel) CheckBackend(_ context.Context, _ plane.Actor, app, server string) (plane.Probe, error) {
	p.about("CheckBackend", app)
	if server == "s9" {
		return plane.Probe{
			At: At(), Verdict: plane.Fail, Vantage: "s1, forwarded over SSH", Answer: "HTTP 500", Reason: "answered 500, a server error", Latency: 3 * time.Millisecond,
		}, p.called("CheckBackend", server)
	}
	return plane.Probe{
		At: At(), Verdict: plane.Pass, Vantage: "s1, forwarded over SSH", Answer: "HTTP 200", Reason: "answered 200", Latency: 3 * time.Millisecond,
	}, p.called("CheckBackend", server)
}

// RepairBackend starts the Run.
func (p *Panel) RepairBackend(_ context.Context, _ plane.Actor, app, server string) (plane.Run, error) {
	p.about("RepairBackend", app)
	return p.start("RepairBackend", server)
}

// RemoveBackend starts the Run, which has a receipt.
func (p *Panel) RemoveBackend(_ context.Context, _ plane.Actor, app, server string, w control.RemoveWish) (plane.Run, error) {
	p.about("RemoveBackend", app+" on "+server)
	p.mu.Lock()
	p.run.Receipt = []plane.ReceiptLine{
		{Server: server, What: "processes and units", Done: true},
		{Server: server, What: "firewall rules", Detail: "the server does not answer"},
	}
	p.mu.Unlock()
	return p.start("RemoveBackend", w)
}
