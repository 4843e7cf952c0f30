package cli

import (
	"context"
	"io"
	"log/slog"

	"github.com/serverplane/serverplane/internal/app"
	"github.com/serverplane/serverplane/internal/config"
	"github.com/serverplane/serverplane/internal/plane"
)

// panel is the real App: it logs to standard error as the configuration says;
// what is for the person who starts it goes to standard output.
type panel struct{ out, err io.Writer }

func (p panel) open(c config.Config) *app.App {
	return app.New(slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: c.LogLevel})), p.out, buildVersion())
}

// Serve runs the panel.
func (p panel) Serve(ctx context.Context, c config.Config) error { return p.open(c).Serve(ctx, c) }

// Admin opens the panel's data.
func (p panel) Admin(ctx context.Context, c config.Config) (Admin, error) {
	a, err := p.open(c).Admin(ctx, c)
	if err != nil {
		return nil, err
	}
	return admin{a}, nil
}

type admin struct{ *app.Admin }

// CreateUser makes a person who may sign in.
func (a admin) CreateUser(ctx context.Context, email, role, password string) error {
	_, err := a.Admin.CreateUser(ctx, email, plane.Role(role), password)
	return err
}
