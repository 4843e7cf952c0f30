package ui

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// AppSettingsVerbs change how an app is built, run and reached.
type AppSettingsVerbs interface {
	ChangeAppSeen(ctx context.Context, actor plane.Actor, name string, seen control.Seen, ch control.AppChange) (plane.App, error)
}

// appSettingsView is the form of an app's settings and, once it was sent, what
// keeping it would do.
type appSettingsView struct {
	page
	Tabs    tabs
	App     control.AppView
	Seen    control.Seen
	Fields  map[string]string // as they are, by the field's name
	Changes []change
	Told    []string
	Gap     string   // what restarting the only backend costs, where that would become the app's way
	Pending []string // settings that the live deployment does not have yet
}

// appSetting is one field of the form.
type appSetting struct {
	field, what string
	told        string // when a change of it takes effect
	is          func(a plane.App) string
}

const (
	withNext  = "in force with the next deployment."
	withBuild = "in force with the next commit that is built; one that is built already is built again only if asked for."
)

func appSettings() []appSetting {
	return []appSetting{
		{"repository", "Repository", withNext, func(a plane.App) string { return a.Repository }},
		{"branch", "Branch", withNext, func(a plane.App) string { return a.Branch }},
		{"domains", "Domains", "in force at once, as the entry's Nginx takes it. No visitor of a name that stays gets an error.", func(a plane.App) string { return textOf(a.Domains) }},
		{"root", "Folder inside the repository", withBuild, func(a plane.App) string { return a.Spec.Root }},
		{"build", "Build steps", withBuild, func(a plane.App) string { return textOf(a.Spec.Build) }},
		{"start", "Start", withNext, func(a plane.App) string { return a.Spec.Start }},
		{"run_once", "Run once for each deployment", withNext, func(a plane.App) string { return textOf(a.Spec.RunOnce) }},
		{"health_path", "Health path", "asked for from the next check on. A backend that does not answer it well becomes unhealthy.", func(a plane.App) string { return a.Spec.HealthPath }},
		{"options", "Options", withNext, func(a plane.App) string { return optionsOf(a.Spec.Options) }},
	}
}

func textOf(lines []string) string { return strings.Join(lines, "\n") }

func optionsOf(options map[string]string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		lines = append(lines, name+"="+options[name])
	}
	return textOf(lines)
}

func settingsHome(app string) string { return appHome(app) + "/settings" }

func (u *UI) appSettings(v *visit) error {
	shown, err := u.loadAppSettings(v)
	if err != nil {
		return err
	}
	return u.show(v, "app-settings.html", shown)
}

func (u *UI) loadAppSettings(v *visit) (*appSettingsView, error) {
	a, err := u.control.App(v.ctx(), v.actor, v.path("name"))
	if err != nil {
		return nil, err
	}
	shown := &appSettingsView{
		page: u.page(v, "Settings of "+a.Name), Tabs: tabs{a.Name, "overview"}, App: a, Seen: control.SeenApp(a.App), Fields: map[string]string{},
		Pending: pending(a),
	}
	shown.Area = "apps"
	for _, s := range appSettings() {
		shown.Fields[s.field] = s.is(a.App)
	}
	return shown, nil
}

// pending names what the live deployment was built or started with otherwise.
func pending(a control.AppView) []string {
	if a.Live == nil {
		return nil
	}
	was := a.App
	was.Spec = a.Live.Spec
	var names []string
	for _, s := range appSettings() {
		if s.field != "health_path" && s.field != "options" && s.is(was) != s.is(a.App) {
			names = append(names, s.what)
		}
	}
	return names
}

// changeApp first shows what keeping the form would do and keeps what was
// agreed to; never over what somebody else has kept meanwhile.
func (u *UI) changeApp(v *visit) error {
	shown, err := u.loadAppSettings(v)
	if err != nil {
		return err
	}
	if seen := control.Seen(v.form.Value("seen")); seen != "" && seen != shown.Seen {
		return v.again(plane.Conflict("somebody else changed these settings meanwhile",
			"what you typed is still in the form; what it would change now is shown before it is kept"), u.appSettings)
	}
	ch, err := appChange(v.form, shown.App.Spec.Options)
	if err != nil {
		return v.again(err, u.appSettings)
	}
	for _, s := range appSettings() {
		if was, then := shown.Fields[s.field], typedSetting(v.form, s.field); was != then {
			shown.Changes = append(shown.Changes, change{s.what, emptyWord(was), emptyWord(then)})
			shown.Told = append(shown.Told, s.what+": "+s.told)
		}
	}
	becomes := plane.Spec{Options: ch.Options}
	if becomes.Restarts() && !shown.App.Spec.Restarts() && shown.App.Gap {
		shown.Gap = shown.App.RestartCost
	}
	if len(shown.Changes) == 0 {
		return v.see(settingsHome(shown.App.Name), "unchanged")
	}
	ch.Acknowledge = v.form.Values["acknowledge"]
	if v.form.Value("agreed") != shown.Agreement() {
		return u.show(v, "app-settings.html", shown)
	}
	if _, err := u.control.ChangeAppSeen(v.ctx(), v.actor, shown.App.Name, shown.Seen, ch); err != nil {
		return v.again(inForm(err), u.appSettings)
	}
	return v.see(settingsHome(shown.App.Name), "saved")
}

// inForm calls a field of the verb as the form calls it.
func inForm(err error) error {
	told := told(err)
	if told == nil {
		return err
	}
	at := *told
	if names := map[string]string{"domain": "domains", "option": "options"}; names[at.Field] != "" {
		at.Field = names[at.Field]
	}
	return &at
}

func emptyWord(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// typedSetting is a field as it would be kept.
func typedSetting(f Form, field string) string {
	switch field {
	case "domains", "build", "run_once":
		return textOf(f.Lines(field))
	case "options":
		wished, err := optionLines(f)
		if err != nil {
			return f.Value(field)
		}
		return optionsOf(wished)
	}
	return word(f, field)
}

// Agreement names exactly what was shown, so that only that is kept.
func (s *appSettingsView) Agreement() string {
	var all []string
	for _, one := range appSettings() {
		all = append(all, typedSetting(s.Form, one.field))
	}
	return digest(strings.Join(all, "\x00"))
}

func appChange(f Form, now map[string]string) (control.AppChange, error) {
	text := func(field string) *string { t := word(f, field); return &t }
	lines := func(field string) *[]string {
		all := f.Lines(field)
		if all == nil {
			all = []string{}
		}
		return &all
	}
	options, err := optionLines(f)
	for name := range now {
		if _, kept := options[name]; !kept {
			options[name] = "" // back to its default
		}
	}
	return control.AppChange{
		Repository: text("repository"), Branch: text("branch"), Domains: lines("domains"), Root: text("root"), Build: lines("build"),
		Start: text("start"), RunOnce: lines("run_once"), HealthPath: text("health_path"), Options: options,
	}, err
}

func optionLines(f Form) (map[string]string, error) {
	options := map[string]string{}
	for _, line := range f.Lines("options") {
		name, value, found := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found || name == "" || value == "" {
			return options, plane.Invalid("options", "must be NAME=VALUE, one on a line", "for example drain=30s")
		}
		options[name] = value
	}
	return options, nil
}
