package runner

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// provision makes a server ready to carry apps; safe to repeat.
type provision struct {
	*job
	server plane.Server
	survey plane.Survey
}

func (p *provision) do(ctx context.Context) (err error) {
	p.steps(4)
	err = p.Store.Write(ctx, func(tx *store.Tx) error {
		if p.server, err = tx.Server(ctx, p.run.ServerID); err != nil {
			return err
		}
		return tx.SetServerState(ctx, p.server.ID, plane.ServerProvisioning, "", p.Now().UTC())
	})
	if err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.step(ctx, "provision with Ansible"); err != nil {
		return err
	}
	play, err := recipe.Provision(p.run.ID, p.PanelID, p.server)
	if err != nil {
		return err
	}
	if err := p.play(ctx, play); err != nil {
		return err
	}
	if err := p.steer(ctx); err != nil {
		return err
	}
	if err := p.step(ctx, "look again"); err != nil {
		return err
	}
	p.survey, err = p.Looker.Survey(ctx, p.server)
	return err
}

// look surveys before anything is touched: the server may have changed since it
// was added.
func (p *provision) look(ctx context.Context) error {
	if err := p.step(ctx, "look at the server"); err != nil {
		return err
	}
	survey, err := p.Looker.Survey(ctx, p.server)
	if err != nil {
		return err
	}
	p.say(p.server.Name, "%s, %d cores, %d MiB memory, %d MiB disk free, firewall %s, managed as %s",
		survey.OS, survey.Cores, survey.MemoryMiB, survey.DiskFreeMiB, survey.Firewall, p.server.Firewall)
	p.server.Survey = survey
	return survey.Refuse(p.PanelID, p.server.Adopt, p.server.Firewall)
}

func (p *provision) steer(ctx context.Context) error {
	if err := p.step(ctx, "put our Nginx files in force"); err != nil {
		return err
	}
	var wanted map[string]int64
	err := p.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = raise(ctx, tx, []string{p.server.ID})
		return err
	})
	if err != nil {
		return err
	}
	return p.await(ctx, wanted)
}

func (p *provision) undo(context.Context, error) {}

func (p *provision) done(ctx context.Context, tx *store.Tx) error {
	s, err := tx.Server(ctx, p.server.ID)
	if err != nil {
		return err
	}
	s.Survey, s.Adopt = p.survey, false
	if err := tx.UpdateServer(ctx, s); err != nil {
		return err
	}
	return tx.SetServerState(ctx, s.ID, plane.ServerReady, "", p.Now().UTC())
}

// failed says so whatever the server was before: what it carries goes on and
// can be deployed to, but nothing new is placed on it until it is ready again.
func (p *provision) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	return tx.SetServerState(ctx, p.run.ServerID, plane.ServerFailed, string(state)+": "+reason+"; repeat with server provision", p.Now().UTC())
}
