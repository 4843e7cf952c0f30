package cli

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/plane"
)

func (sh *shell) application() *cobra.Command {
	return group("app", "Apps", sh.appCreate(), sh.appList(), sh.appShow(), sh.appSet(), sh.appKey(), sh.appLogs(), sh.appRemove())
}

// appFlags are what app create and app set have in common.
type appFlags struct {
	branch, start, root, healthPath string
	domains, build, runOnce         []string
	repository                      string
	options, acknowledge            []string
}

func (f *appFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.branch, "branch", "", "branch to deploy (default main)")
	fs.StringVar(&f.repository, "repo", "", "address of its Git repository")
	fs.StringArrayVar(&f.options, "option", nil, "K=V of its kind; may be repeated; app set K= takes it back to its default; shared=PATHS outlive releases on each server, not shared between servers")
	fs.StringArrayVar(&f.domains, "domain", nil, "name visitors use; may be repeated, the first is the main one")
	fs.StringArrayVar(&f.build, "build", nil, "shell line that builds; may be repeated")
	fs.StringVar(&f.start, "start", "", "shell line that starts the app")
	fs.StringArrayVar(&f.runOnce, "run-once", nil, "shell line run once per deployment, on the primary; may be repeated")
	fs.StringVar(&f.root, "root", "", "folder inside the repository")
	fs.StringSliceVar(&f.acknowledge, "acknowledge", nil, "ids of the warnings you have read")
	fs.StringVar(&f.healthPath, "health-path", "", "path that tells whether the app is well (default /)")
}

func (sh *shell) appCreate() *cobra.Command {
	var f appFlags
	var w client.AppWish
	cmd := &cobra.Command{Use: "create NAME", Short: "Create an app and deploy it for the first time", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&w.Server, "server", "", "name of its primary")
	cmd.Flags().StringVar(&w.Kind, "kind", "", "what it is made of: "+kinds()+" (default: what its repository looks like)")
	cmd.Flags().BoolVar(&w.NoDeploy, "no-deploy", false, "do not deploy yet")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w.Name, w.Repository = args[0], f.repository
		if w.Server == "" || w.Repository == "" {
			return usagef("app create needs --server and --repo")
		}
		var err error
		if w.Options, err = pairs("--option", f.options); err != nil {
			return err
		}
		w.Branch, w.Domains, w.Build, w.Start = f.branch, f.domains, f.build, f.start
		w.RunOnce, w.Root, w.HealthPath, w.Acknowledge = f.runOnce, f.root, f.healthPath, f.acknowledge
		if w.Kind == "" {
			if err := sh.propose(cmd, &w); err != nil {
				return err
			}
		}
		return sh.create(cmd, w, *wait)
	}
	return cmd
}

// propose has the panel look at the repository. On a terminal the person decides; elsewhere what was found is taken, and told.
func (sh *shell) propose(cmd *cobra.Command, w *client.AppWish) error {
	c, err := sh.panel()
	if err != nil {
		return err
	}
	p, err := c.ProposeKind(cmd.Context(), *w)
	if err != nil {
		return err
	}
	sh.say("The repository looks like an app of kind %s:", p.Kind)
	for _, line := range p.Evidence {
		sh.say("  %s", line)
	}
	sh.sayHow(p)
	if len(p.Others) > 0 {
		sh.say("It might be of another kind, which --kind would say: %s", strings.Join(p.Others, "; "))
	}
	if sh.IsTerminal {
		answer, err := sh.ask("Create it like that? yes or no: ")
		if err != nil {
			return err
		}
		if answer != "yes" {
			return fmt.Errorf("nothing was created; --kind names another kind: %w", errCancelled)
		}
	}
	w.Kind, w.Options, w.Build, w.HealthPath = p.Kind, p.Options, p.Build, p.HealthPath
	return nil
}

// sayHow tells by what an app would be built and run.
func (sh *shell) sayHow(p client.Proposal) {
	for _, name := range slices.Sorted(maps.Keys(p.Options)) {
		sh.say("  option %s=%s", name, p.Options[name])
	}
	for _, line := range p.Build {
		sh.say("  build: %s", line)
	}
	sh.say("  start: %s", cmp.Or(p.Start, "as this kind starts by itself"))
	for _, line := range p.RunOnce {
		sh.say("  once for each deployment: %s", line)
	}
	sh.say("  health path: %s", p.HealthPath)
}

// kinds names those there are.
func kinds() string {
	var names []string
	for _, d := range (plane.Kinds{}).All() {
		names = append(names, string(d.Kind))
	}
	return strings.Join(names, ", ")
}

func (sh *shell) create(cmd *cobra.Command, w client.AppWish, wait bool) error {
	c, err := sh.panel()
	if err != nil {
		return err
	}
	created, err := c.CreateApp(cmd.Context(), w)
	if err != nil {
		return err
	}
	sh.sayBeside(created.App)
	if created.Run == nil {
		sh.say("%s is created; deploy it with: serverplane deploy %s", w.Name, w.Name)
		return nil
	}
	return sh.begun(cmd.Context(), c, *created.Run, wait)
}

// sayBeside tells how to add what apps of the kind usually run beside what serves visitors.
func (sh *shell) sayBeside(a client.App) {
	if len(a.Beside) > 0 {
		sh.say("An app of kind %s usually has more that runs, started anew with every release; add what this one needs:", a.Kind)
	}
	for _, line := range a.Beside {
		sh.say("  %s", line)
	}
}

// pairs reads NAME=VALUE words; the value is taken as it is.
func pairs(what string, words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if !found || name == "" {
			return nil, usagef("%s: must be NAME=VALUE", what) // never repeated: it may be a secret
		}
		if _, twice := out[name]; twice {
			return nil, usagef("%s: %s is given twice", what, name)
		}
		out[name] = value
	}
	return out, nil
}

func (sh *shell) appList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List apps", Args: cobra.NoArgs}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Apps(cmd.Context())
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("NAME STATE KIND SERVER BALANCER RELEASE REASON", list.Items, func(a client.App) []string {
			return []string{a.Name, a.State, a.Kind, a.Server, a.Balancer, or(liveRelease(a)), or(a.Reason)}
		}))
	}
	return cmd
}

func liveRelease(a client.App) string {
	if a.Live == nil {
		return ""
	}
	return a.Live.Release
}

func (sh *shell) appShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show an app", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		a, err := c.App(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.show(*f, a, appRows(a))
	}
	return cmd
}

func appRows(a client.App) [][]string {
	out := [][]string{
		{"name", a.Name}, {"state", a.State}, {"since", stamp(a.Since)}, {"reason", or(a.Reason)}, {"kind", a.Kind},
		{"server", a.Server}, {"repository", a.Repository}, {"branch", a.Branch}, {"domains", or(strings.Join(a.Domains, ", "))},
		{"root", or(a.Root)}, {"start", or(a.Start)}, {"health path", a.HealthPath}, {"load balancer", a.Balancer},
		{"live release", or(liveRelease(a))}, {"variables", unapplied(a)},
	}
	for _, name := range slices.Sorted(maps.Keys(a.Options)) {
		out = append(out, []string{"option", name + "=" + a.Options[name]})
	}
	if a.SwitchCost != "" {
		out = append(out, []string{"switch", a.Switch + ": " + a.SwitchCost})
	}
	for _, folder := range a.Shared {
		out = append(out, []string{"shared folder", folder + " (on each server for itself, not shared between servers)"})
	}
	for _, line := range a.Build {
		out = append(out, []string{"build", or(line)})
	}
	for _, line := range a.RunOnce {
		out = append(out, []string{"run once", or(line)})
	}
	return out
}

func unapplied(a client.App) string {
	if a.Unapplied {
		return "changed, not applied yet (serverplane env apply " + a.Name + ")"
	}
	return "in force"
}

func (sh *shell) appSet() *cobra.Command {
	var f appFlags
	cmd := &cobra.Command{Use: "set NAME", Short: "Change an app; in force with its next deployment, the health path at once", Args: cobra.ExactArgs(1)}
	f.add(cmd.Flags())
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change := f.change(cmd.Flags())
		var err error
		if change.Options, err = pairs("--option", f.options); err != nil {
			return err
		}
		if reflect.DeepEqual(change, client.AppChange{}) {
			return usagef("app set: say what to change")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		a, err := c.ChangeApp(cmd.Context(), args[0], change)
		if err != nil {
			return err
		}
		return sh.show(*out, a, appRows(a))
	}
	return cmd
}

// change names only what was typed; one empty value empties a list.
func (f *appFlags) change(fs *pflag.FlagSet) client.AppChange {
	text := func(name string, v *string) *string {
		if fs.Changed(name) {
			return v
		}
		return nil
	}
	list := func(name string, v []string) *[]string {
		if !fs.Changed(name) {
			return nil
		}
		if len(v) == 1 && v[0] == "" {
			v = []string{}
		}
		return &v
	}
	return client.AppChange{
		Branch: text("branch", &f.branch), Start: text("start", &f.start), Root: text("root", &f.root),
		HealthPath: text("health-path", &f.healthPath), Domains: list("domain", f.domains),
		Repository: text("repo", &f.repository), Build: list("build", f.build), RunOnce: list("run-once", f.runOnce), Acknowledge: f.acknowledge,
	}
}

func (sh *shell) appKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key NAME", Short: "Print an app's deploy key, to give to the Git host", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		a, err := c.App(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.show(*f, client.PanelKey{Key: a.DeployKey}, [][]string{{a.DeployKey}})
	}
	return cmd
}

func (sh *shell) appRemove() *cobra.Command {
	cmd := &cobra.Command{Use: "remove NAME", Short: "Remove an app from all its servers", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		what := fmt.Sprintf("removing the app %s and its files from every server", args[0])
		if err := sh.consent(*yes, what, args[0]); err != nil {
			return err
		}
		work, err := c.RemoveApp(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}
