package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
)

// KeyVerbs are the verbs about who a machine is.
type KeyVerbs interface {
	PanelKey(ctx context.Context, actor plane.Actor) (string, error)
	HostKey(ctx context.Context, actor plane.Actor, address string, port int) (plane.HostKey, error)
}

type panelKeyOutput struct{ Body client.PanelKey }
type hostKeyInput struct{ Body client.HostKeyWish }
type hostKeyOutput struct{ Body client.HostKey }

func (a *API) routeKeys() {
	register(a, auth.PanelRead, get("/panel-key", "The panel's public key, to paste on a server."), a.panelKey)
	register(a, auth.ServerWrite, post("/host-key", "Asks a server for its host key, to compare before it is added.", 200), a.hostKey)
}

func (a *API) panelKey(ctx context.Context, actor plane.Actor, _ *struct{}) (*panelKeyOutput, error) {
	key, err := a.control.PanelKey(ctx, actor)
	return &panelKeyOutput{Body: client.PanelKey{Key: key}}, err
}

func (a *API) hostKey(ctx context.Context, actor plane.Actor, in *hostKeyInput) (*hostKeyOutput, error) {
	port := in.Body.Port
	if port == 0 {
		port = 22
	}
	key, err := a.control.HostKey(ctx, actor, in.Body.Address, port)
	return &hostKeyOutput{Body: client.HostKey{Fingerprint: key.Fingerprint, Type: key.Type}}, err
}
