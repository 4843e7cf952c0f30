package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// ServerVerbs are the verbs about which servers there are.
type ServerVerbs interface {
	AddServer(ctx context.Context, actor plane.Actor, w control.ServerWish) (plane.Server, plane.Run, error)
	Servers(ctx context.Context, actor plane.Actor) ([]control.ServerView, error)
	Server(ctx context.Context, actor plane.Actor, name string) (control.ServerView, error)
	RemoveServer(ctx context.Context, actor plane.Actor, name string, forget bool) error
}

// ProvisionVerbs are the verbs that look at or prepare a server.
type ProvisionVerbs interface {
	SurveyServer(ctx context.Context, actor plane.Actor, name string) (plane.Survey, error)
	ProvisionServer(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
}

// NamePath takes the name in the path. It is exported because the library
// overlooks embedded fields that are not.
type NamePath struct {
	Name string `path:"name"`
}
type serverInput struct{ Body client.ServerWish }
type serverOutput struct{ Body client.Server }
type serversOutput struct{ Body client.List[client.Server] }
type serverAddedOutput struct{ Body client.ServerAdded }
type surveyOutput struct{ Body client.Survey }

func (a *API) routeServers() {
	register(a, auth.ServerWrite, post("/servers", "Adds a server: surveys it, installs the panel's key, starts provisioning.", 202), a.addServer)
	register(a, auth.ServerRead, get("/servers", "All servers."), a.servers)
	register(a, auth.ServerRead, get("/servers/{name}", "One server."), a.server)
	register(a, auth.ServerWrite, remove("/servers/{name}", "Forgets a server that carries no app.", 204), a.removeServer)
	register(a, auth.ServerWrite, post("/servers/{name}/survey", "Looks at a server anew; changes nothing there.", 200), a.surveyServer)
	register(a, auth.ServerWrite, post("/servers/{name}/provision", "Provisions a server again.", 202), a.provisionServer)
}

func (a *API) addServer(ctx context.Context, actor plane.Actor, in *serverInput) (*serverAddedOutput, error) {
	server, run, err := a.control.AddServer(ctx, actor, serverWish(in.Body))
	if err != nil {
		return nil, err
	}
	work, err := a.work(ctx, actor, run)
	if err != nil {
		return nil, err
	}
	return &serverAddedOutput{Body: client.ServerAdded{
		Server: wireServer(control.ServerView{Server: server}), Run: work.Body.Run,
	}}, nil
}

func (a *API) servers(ctx context.Context, actor plane.Actor, _ *struct{}) (*serversOutput, error) {
	views, err := a.control.Servers(ctx, actor)
	return &serversOutput{Body: list(views, wireServer)}, err
}

func (a *API) server(ctx context.Context, actor plane.Actor, in *NamePath) (*serverOutput, error) {
	view, err := a.control.Server(ctx, actor, in.Name)
	return &serverOutput{Body: wireServer(view)}, err
}

type serverRemoveInput struct {
	NamePath
	Forget bool `query:"forget" doc:"write off what removed backends left on a server nobody can reach"`
}

func (a *API) removeServer(ctx context.Context, actor plane.Actor, in *serverRemoveInput) (*struct{}, error) {
	return nil, a.control.RemoveServer(ctx, actor, in.Name, in.Forget)
}

func (a *API) surveyServer(ctx context.Context, actor plane.Actor, in *NamePath) (*surveyOutput, error) {
	survey, err := a.control.SurveyServer(ctx, actor, in.Name)
	return &surveyOutput{Body: wireSurvey(survey)}, err
}

func (a *API) provisionServer(ctx context.Context, actor plane.Actor, in *NamePath) (*workOutput, error) {
	run, err := a.control.ProvisionServer(ctx, actor, in.Name)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func serverWish(w client.ServerWish) control.ServerWish {
	out := control.ServerWish{
		Name: w.Name, Address: w.Address, PrivateAddress: w.PrivateAddress, SSHPort: w.Port, User: w.User,
		Password: w.Password, SudoPassword: w.SudoPassword, HostKey: w.HostKey,
		Firewall: plane.Firewall(w.Firewall), Adopt: w.Adopt,
	}
	if w.Key != "" {
		out.Key = []byte(w.Key)
	}
	return out
}

func wireServer(v control.ServerView) client.Server {
	return client.Server{
		ID: v.ID, Name: v.Name, Address: v.Address.String(), PrivateAddress: v.PrivateAddress.String(), Port: v.SSHPort,
		HostKey: v.HostKey, Firewall: string(v.Firewall), State: string(v.State), Reason: v.Reason, Since: v.Since.UTC(),
		Apps: some(v.Apps), Survey: wireSurvey(v.Survey), CreatedAt: v.CreatedAt.UTC(),
		NginxError: v.NginxError, NginxCheckedAt: v.NginxCheckedAt.UTC(),
	}
}

func wireSurvey(s plane.Survey) client.Survey {
	return client.Survey{
		TakenAt: s.TakenAt.UTC(), OS: s.OS, Arch: s.Arch, Cores: s.Cores, MemoryMiB: s.MemoryMiB, SwapMiB: s.SwapMiB,
		DiskFreeMiB: s.DiskFreeMiB, ClockOffset: client.Duration(s.ClockOffset), Addresses: some(s.Addresses),
		DefaultAddress: s.Default, SSHPort: s.SSHPort, Firewall: s.Firewall, NginxSites: some(s.NginxSites),
		Listening:   each(s.Listening, func(l plane.Socket) client.Socket { return client.Socket(l) }),
		NginxBroken: s.NginxBroken, Databases: some(s.Databases), AptLock: s.AptLock, Panel: s.Panel, Node: s.Node,
	}
}
