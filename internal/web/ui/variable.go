package ui

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/dotenv"
	"github.com/serverplane/serverplane/internal/plane"
)

// VariableVerbs are the verbs about an app's environment variables.
type VariableVerbs interface {
	Variables(ctx context.Context, actor plane.Actor, app string, reveal bool) ([]control.VariableView, error)
	CompareVariables(ctx context.Context, actor plane.Actor, app string, values map[string]string) (map[string]control.VariableChange, error)
	SetVariablesSeen(ctx context.Context, actor plane.Actor, app string, seen control.Seen, values map[string]string) error
	UnsetVariablesSeen(ctx context.Context, actor plane.Actor, app string, seen control.Seen, names []string) error
	ApplyVariables(ctx context.Context, actor plane.Actor, app string, acknowledge []string) (*plane.Run, error)
}

type variablesView struct {
	page
	Tabs      tabs
	App       control.AppView
	Variables []control.VariableView
	Revealed  bool
	Changes   []variableChange // what was typed would change; shown before it is kept
	Seen      control.Seen
}

// Shown names the text whose changes are shown, so that no other is kept.
func (s *variablesView) Shown() string { return digest(s.Form.Value("text")) }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// variableChange is one line of what typed text does; it holds no value.
type variableChange struct {
	Name, What, Look string
}

func variablesHome(app string) string { return appHome(app) + "/environment" }

func (u *UI) variables(v *visit) error { return u.showVariables(v, false, nil) }

// revealVariables is a form, since it leaves a line in the audit log.
func (u *UI) revealVariables(v *visit) error { return u.showVariables(v, true, nil) }

// showVariables masks values in the door already, whatever the verb answers.
// What values would change is compared with what the page shows, or newer.
func (u *UI) showVariables(v *visit, reveal bool, values map[string]string) error {
	app, err := u.control.App(v.ctx(), v.actor, v.path("name"))
	if err != nil {
		return err
	}
	all, err := u.control.Variables(v.ctx(), v.actor, app.Name, reveal)
	if err != nil {
		return err
	}
	if !reveal {
		for i := range all {
			all[i].Value = ""
		}
	}
	shown := &variablesView{
		page: u.page(v, "Environment Variables of "+app.Name), Tabs: tabs{app.Name, "environment"}, App: app, Variables: all, Revealed: reveal,
		Seen: control.SeenVariables(all),
	}
	shown.Area = "apps"
	if len(values) > 0 {
		if shown.Changes, err = u.changesOf(v, values); err != nil {
			return err
		}
	}
	return u.show(v, "environment.html", shown)
}

// setVariables shows first what the lines change, and keeps them when the same
// lines are sent again. A file's lines are put where they could have been typed.
func (u *UI) setVariables(v *visit) error {
	if err := v.upload("file", "text"); err != nil {
		return v.again(err, u.variables)
	}
	values, err := dotenv.Parse(v.form.Value("text"))
	if err != nil {
		return v.again(plane.Invalid("text", err.Error(), "one NAME=value on a line, as in a .env file"), u.variables)
	}
	if len(values) == 0 {
		return v.again(plane.Invalid("text", "holds no variable", "one NAME=value on a line, as in a .env file"), u.variables)
	}
	if word(v.form, "shown") != digest(v.form.Value("text")) {
		return u.showVariables(v, false, values)
	}
	if err := u.control.SetVariablesSeen(v.ctx(), v.actor, v.path("name"), control.Seen(word(v.form, "seen")), values); err != nil {
		return v.again(err, u.variables)
	}
	return v.see(variablesHome(v.path("name")), "variables")
}

func (u *UI) changesOf(v *visit, values map[string]string) ([]variableChange, error) {
	all, err := u.control.CompareVariables(v.ctx(), v.actor, v.path("name"), values)
	if err != nil {
		return nil, err
	}
	looks := map[control.VariableChange]string{control.VariableAdded: "good", control.VariableReplaced: "warn", control.VariableStays: "off"}
	var changes []variableChange
	for _, name := range slices.Sorted(maps.Keys(all)) {
		changes = append(changes, variableChange{name, string(all[name]), looks[all[name]]})
	}
	return changes, nil
}

func (u *UI) unsetVariables(v *visit) error {
	if err := u.control.UnsetVariablesSeen(v.ctx(), v.actor, v.path("name"), control.Seen(word(v.form, "seen")), []string{word(v.form, "variable")}); err != nil {
		return v.again(err, u.variables)
	}
	return v.see(variablesHome(v.path("name")), "variables")
}

func (u *UI) applyVariables(v *visit) error {
	run, err := u.control.ApplyVariables(v.ctx(), v.actor, v.path("name"), v.form.Values["acknowledge"])
	if err != nil {
		return v.again(err, u.variables)
	}
	if run == nil {
		return v.see(variablesHome(v.path("name")), "unchanged")
	}
	return v.see("/runs/"+run.ID, "")
}
