package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
)

// UserVerbs are the verbs about people and the tokens of whoever asks.
type UserVerbs interface {
	Users(ctx context.Context, actor plane.Actor) ([]plane.User, error)
	CreateUser(ctx context.Context, actor plane.Actor, email string, role plane.Role, password string) (plane.User, error)
	SetRole(ctx context.Context, actor plane.Actor, id string, role plane.Role) error
	RemoveUser(ctx context.Context, actor plane.Actor, id string) error
	Tokens(ctx context.Context, actor plane.Actor) ([]plane.Token, error)
	CreateToken(ctx context.Context, actor plane.Actor, email, name string) (string, error)
	RevokeToken(ctx context.Context, actor plane.Actor, id string) error
}

type userInput struct{ Body client.UserWish }
type userChangeInput struct {
	IDPath
	Body client.UserChange
}
type userOutput struct{ Body client.User }
type usersOutput struct{ Body client.List[client.User] }
type tokenInput struct{ Body client.TokenWish }
type tokenOutput struct{ Body client.TokenCreated }
type tokensOutput struct{ Body client.List[client.Token] }

// routeUsers lets everybody at their own tokens, which can do no more than they
// may themselves.
func (a *API) routeUsers() {
	register(a, auth.UserWrite, get("/users", "Who may sign in."), a.users)
	register(a, auth.UserWrite, post("/users", "Makes a person who may sign in.", 201), a.createUser)
	register(a, auth.UserWrite, patch("/users/{id}", "Gives a person another role.", 204), a.changeUser)
	register(a, auth.UserWrite, remove("/users/{id}", "Forgets a person; their sessions and tokens end at once.", 204), a.removeUser)
	register(a, auth.PanelRead, get("/tokens", "Your own tokens."), a.tokens)
	register(a, auth.PanelRead, post("/tokens", "Makes a token of your own and tells it, this once.", 201), a.createToken)
	register(a, auth.PanelRead, remove("/tokens/{id}", "Ends a token of your own.", 204), a.revokeToken)
}

func (a *API) users(ctx context.Context, actor plane.Actor, _ *struct{}) (*usersOutput, error) {
	all, err := a.control.Users(ctx, actor)
	return &usersOutput{Body: list(all, wireUser)}, err
}

func wireUser(u plane.User) client.User {
	return client.User{ID: u.ID, Email: u.Email, Role: string(u.Role), CreatedAt: u.CreatedAt.UTC()}
}

func (a *API) createUser(ctx context.Context, actor plane.Actor, in *userInput) (*userOutput, error) {
	u, err := a.control.CreateUser(ctx, actor, in.Body.Email, plane.Role(in.Body.Role), in.Body.Password)
	return &userOutput{Body: wireUser(u)}, err
}

func (a *API) changeUser(ctx context.Context, actor plane.Actor, in *userChangeInput) (*struct{}, error) {
	return nil, a.control.SetRole(ctx, actor, in.ID, plane.Role(in.Body.Role))
}

func (a *API) removeUser(ctx context.Context, actor plane.Actor, in *IDPath) (*struct{}, error) {
	return nil, a.control.RemoveUser(ctx, actor, in.ID)
}

func (a *API) tokens(ctx context.Context, actor plane.Actor, _ *struct{}) (*tokensOutput, error) {
	all, err := a.control.Tokens(ctx, actor)
	return &tokensOutput{Body: list(all, func(k plane.Token) client.Token {
		return client.Token{ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt.UTC(), UsedAt: k.UsedAt.UTC()}
	})}, err
}

func (a *API) createToken(ctx context.Context, actor plane.Actor, in *tokenInput) (*tokenOutput, error) {
	token, err := a.control.CreateToken(ctx, actor, actor.Email, in.Body.Name)
	return &tokenOutput{Body: client.TokenCreated{Token: token}}, err
}

func (a *API) revokeToken(ctx context.Context, actor plane.Actor, in *IDPath) (*struct{}, error) {
	return nil, a.control.RevokeToken(ctx, actor, in.ID)
}
