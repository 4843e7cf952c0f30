package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// variablesSize lets a hundred values of the largest size through at once.
const variablesSize = 12 << 20

// VariableVerbs are the verbs about an app's environment variables.
type VariableVerbs interface {
	SetVariables(ctx context.Context, actor plane.Actor, app string, values map[string]string) error
	UnsetVariables(ctx context.Context, actor plane.Actor, app string, names []string) error
	Variables(ctx context.Context, actor plane.Actor, app string, reveal bool) ([]control.VariableView, error)
	ApplyVariables(ctx context.Context, actor plane.Actor, app string, acknowledge []string) (*plane.Run, error)
}

type variablesInput struct {
	NamePath
	Body client.Variables
}
type variableNamesInput struct {
	NamePath
	Body client.VariableNames
}
type variablesOutput struct{ Body client.List[client.Variable] }
type maybeWorkOutput struct {
	Status int
	Body   client.MaybeWork
}

func (a *API) routeVariables() {
	set := patch("/apps/{name}/variables", "Records variables; apply puts them in force.", 204)
	set.MaxBodyBytes = variablesSize
	register(a, auth.VariableRead, get("/apps/{name}/variables", "An app's variables, without their values."), a.variables)
	register(a, auth.VariableReveal, get("/apps/{name}/variables/reveal", "An app's variables with their values."), a.revealVariables)
	register(a, auth.VariableWrite, set, a.setVariables)
	register(a, auth.VariableWrite, post("/apps/{name}/variables/unset", "Removes variables; apply puts it in force.", 204), a.unsetVariables)
	register(a, auth.VariableWrite, post("/apps/{name}/variables/apply", "Deploys the live commit with the recorded variables (202); with no difference nothing is done (200).", 202), a.applyVariables)
}

func (a *API) variables(ctx context.Context, actor plane.Actor, in *NamePath) (*variablesOutput, error) {
	views, err := a.control.Variables(ctx, actor, in.Name, false)
	return &variablesOutput{Body: list(views, maskedVariable)}, err
}

func (a *API) revealVariables(ctx context.Context, actor plane.Actor, in *NamePath) (*variablesOutput, error) {
	views, err := a.control.Variables(ctx, actor, in.Name, true)
	return &variablesOutput{Body: list(views, revealedVariable)}, err
}

func (a *API) setVariables(ctx context.Context, actor plane.Actor, in *variablesInput) (*struct{}, error) {
	return nil, a.control.SetVariables(ctx, actor, in.Name, in.Body.Values)
}

func (a *API) unsetVariables(ctx context.Context, actor plane.Actor, in *variableNamesInput) (*struct{}, error) {
	return nil, a.control.UnsetVariables(ctx, actor, in.Name, in.Body.Names)
}

func (a *API) applyVariables(ctx context.Context, actor plane.Actor, in *consentInput) (*maybeWorkOutput, error) {
	run, err := a.control.ApplyVariables(ctx, actor, in.Name, in.read())
	return a.maybeWork(ctx, actor, run, err)
}

// maskedVariable drops the value even if the verb had handed one out.
func maskedVariable(v control.VariableView) client.Variable {
	return client.Variable{Name: v.Name, Length: v.Length, UpdatedAt: v.UpdatedAt.UTC(), Computed: v.Computed}
}

func revealedVariable(v control.VariableView) client.Variable {
	out := maskedVariable(v)
	out.Value = &v.Value
	return out
}
