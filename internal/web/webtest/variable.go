package webtest

import (
	"context"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// SetVariables records them.
func (p *Panel) SetVariables(_ context.Context, _ plane.Actor, app string, values map[string]string) error {
	p.about("SetVariables", app)
	return p.called("SetVariables", values)
}

// UnsetVariables does nothing.
func (p *Panel) UnsetVariables(_ context.Context, _ plane.Actor, app string, names []string) error {
	p.about("UnsetVariables", app)
	return p.called("UnsetVariables", names)
}

// Variables answers one, and its value even when it should not: the door must
// drop it.
func (p *Panel) Variables(_ context.Context, _ plane.Actor, app string, reveal bool) ([]control.VariableView, error) {
	p.about("Variables", app)
	return []control.VariableView{{Name: "KEY", Value: "hunter2", Length: 7, Version: "v1", UpdatedAt: At()}}, p.called("Variables", reveal)
}

// SetVariablesSeen records them.
func (p *Panel) SetVariablesSeen(_ context.Context, _ plane.Actor, app string, seen control.Seen, values map[string]string) error {
	p.about("SetVariablesSeen", app+" "+string(seen))
	return p.called("SetVariablesSeen", values)
}

// UnsetVariablesSeen does nothing.
func (p *Panel) UnsetVariablesSeen(_ context.Context, _ plane.Actor, app string, seen control.Seen, names []string) error {
	p.about("UnsetVariablesSeen", app+" "+string(seen))
	return p.called("UnsetVariablesSeen", names)
}

// CompareVariables knows that KEY is hunter2.
func (p *Panel) CompareVariables(_ context.Context, _ plane.Actor, app string, values map[string]string) (map[string]control.VariableChange, error) {
	p.about("CompareVariables", app)
	all := map[string]control.VariableChange{}
	for name, value := range values {
		switch {
		case name != "KEY":
			all[name] = control.VariableAdded
		case value == "hunter2":
			all[name] = control.VariableStays
		default:
			all[name] = control.VariableReplaced
		}
	}
	return all, p.called("CompareVariables", values)
}

// ApplyVariables starts the Run.
func (p *Panel) ApplyVariables(_ context.Context, _ plane.Actor, app string, acknowledge []string) (*plane.Run, error) {
	if err := p.called("ApplyVariables acknowledging", acknowledge); err != nil {
		return nil, err
	}
	run, err := p.start("ApplyVariables", app)
	if app == "unchanged" {
		return nil, err
	}
	return &run, err
}
