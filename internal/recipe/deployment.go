package recipe

import (
	"fmt"
	"io"
	"maps"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
)

// Preparation is what it takes to bring one slot of an app to a started state.
type Preparation struct {
	Run       string
	App       plane.App
	Plan      plane.Deployment
	Values    map[string]string // the plan's variables, opened
	Seats     []Seat
	Databases []Supply
	Archive   func() (io.ReadCloser, error) // the exact tree of the plan's commit
}

// Limits of the steps that can last.
const (
	buildSeconds = 30 * 60
	startSeconds = 60
	onceSeconds  = 30 * 60
	noLimit      = 0
)

const archiveName = "release.tar"

// Prepare builds the plan's release on each seat and starts it in its slot.
func Prepare(p Preparation) (ansible.Play, error) {
	slot := string(p.Plan.Slot)
	play := ansible.Play{
		Run: p.Run, Playbook: "app_prepare.yml",
		Vars: map[string]any{
			"app": p.App.Name, "kind": string(p.App.Kind), "slot": slot, "release": p.Plan.ReleaseID, "root": p.Plan.Spec.Root,
			"archive": archiveName, "build_env": buildEnvPath(p.App.Name, slot), "build_script": files.BuildPath(p.App.Name, slot),
			"build_seconds": buildSeconds, "build_memory": noLimit, "start_seconds": startSeconds, "rebuild": false,
		},
		Files: []ansible.File{{Name: archiveName, Open: p.Archive}},
	}
	for _, s := range p.Seats {
		tree, err := slotTree(p, s)
		if err != nil {
			return ansible.Play{}, fmt.Errorf("render slot %s of %s for %s: %w", slot, p.App.Name, s.Server.Name, err)
		}
		play.Hosts = append(play.Hosts, host(s.Server, map[string]any{
			"port": s.Backend.Ports.Process(p.Plan.Slot), "firewall_rules": firewallRules(p.App, s),
		}))
		play.Files = append(play.Files, ansible.File{Name: "slot-" + s.Server.Name + ".tar", Content: tree})
	}
	return play, play.Validate()
}

// firewallRules let visitors to the entry, and to a backend's slots only the
// address from which it sees the entry.
func firewallRules(a plane.App, s Seat) []map[string]any {
	rules := []map[string]any{}
	switch {
	case s.Server.Firewall == plane.FirewallLeave:
	case s.Backend.Primary:
		rules = append(rules, map[string]any{"ports": []int{80, 443}, "comment": "serverplane http"})
	default:
		rules = append(rules, map[string]any{
			"from": s.Backend.SeenAs.String(), "to": s.Server.PrivateAddress.String(),
			"ports": []int{s.Backend.Ports.SiteA, s.Backend.Ports.SiteB}, "comment": "serverplane " + a.Name,
		})
	}
	return rules
}

func buildEnvPath(app, slot string) string { return files.SlotDir(app, slot) + "/build.env" }
func oncePath(app, slot string) string     { return files.SlotDir(app, slot) + "/run-once" }

// slotTree is the tar of every file the slot needs on one server.
func slotTree(p Preparation, s Seat) ([]byte, error) {
	app, slot := p.App.Name, string(p.Plan.Slot)
	unit, err := files.SlotUnit(files.Unit{
		App: app, Slot: slot, Release: p.Plan.ReleaseID, Root: p.Plan.Spec.Root,
		Port: uint16(s.Backend.Ports.Process(p.Plan.Slot)), Server: s.Server.Name, Stop: p.Plan.Spec.Drain() + stopGrace,
	})
	if err != nil {
		return nil, err
	}
	list, err := manifest(p.App)
	if err != nil {
		return nil, err
	}
	values := suppliedVariables(p, s)
	t := newTree(files.UserName(app))
	t.root(files.ManifestPath(app), 0o600, list, nil)
	t.root(files.UnitPath(app, slot), 0o644, []byte(unit), nil)
	env, err := files.Env(processVariables(p.App.Kind, values))
	t.root(files.EnvPath(app, slot), 0o600, env, err)
	env, err = files.Env(buildVariables(values))
	t.root(buildEnvPath(app, slot), 0o600, env, err)
	if ca := authorities(p); ca != nil {
		t.app(files.CAPath(app, slot), 0o640, ca, nil)
	}
	text, err := files.StartScript(p.Plan.Spec.Start)
	t.app(files.StartPath(app, slot), 0o640, text, err)
	text, err = files.Script(p.Plan.Spec.Build)
	t.app(files.BuildPath(app, slot), 0o640, text, err)
	text, err = files.Script(p.Plan.Spec.RunOnce)
	t.app(oncePath(app, slot), 0o640, text, err)
	return t.close()
}

func manifest(a plane.App) ([]byte, error) {
	return files.Manifest{
		App: a.Name, ID: a.ID, User: files.UserName(a.Name),
		Units:   []string{files.UnitName(a.Name, "a"), files.UnitName(a.Name, "b")},
		Nginx:   []string{"conf.d/sp-" + a.Name + ".conf"},
		UFW:     []string{"serverplane " + a.Name},
		Folders: []string{files.Home(a.Name), files.ConfigDir(a.Name)},
		Created: a.CreatedAt,
	}.Encode()
}

// caBundle is the system's list of authorities: Node.js from npm has its own
// and hangs behind a private one (facts: npm ci hung 70 s without it).
const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// processVariables is what a process sees besides what its unit sets.
func processVariables(k plane.Kind, values map[string]string) []files.Var {
	all := withDefaults(values)
	if _, given := all["NODE_ENV"]; k == plane.KindNodeJS && !given {
		all["NODE_ENV"] = "production"
	}
	return vars(all)
}

// buildVariables leaves NODE_ENV out: with "production" npm would not install
// what a build needs.
func buildVariables(values map[string]string) []files.Var {
	all := withDefaults(values)
	delete(all, "NODE_ENV")
	return vars(all)
}

func withDefaults(values map[string]string) map[string]string {
	all := maps.Clone(values)
	if all == nil {
		all = map[string]string{}
	}
	if _, given := all["NODE_EXTRA_CA_CERTS"]; !given {
		all["NODE_EXTRA_CA_CERTS"] = caBundle
	}
	return all
}

func vars(values map[string]string) []files.Var {
	out := make([]files.Var, 0, len(values))
	for name, value := range values {
		out = append(out, files.Var{Name: name, Value: value})
	}
	return out
}

// CheckVariables holds that the values together can be given to a process.
func CheckVariables(k plane.Kind, values map[string]string) error {
	if _, err := files.Env(processVariables(k, values)); err != nil {
		return plane.Invalid("values", err.Error(), "shorten or unset some")
	}
	return nil
}

// RunOnce runs the plan's once-only commands in its release on one seat.
func RunOnce(run string, a plane.App, plan plane.Deployment, s Seat) (ansible.Play, error) {
	slot := string(plan.Slot)
	p := ansible.Play{
		Run: run, Playbook: "app_run_once.yml",
		Vars: map[string]any{
			"app": a.Name, "slot": slot, "release": plan.ReleaseID, "root": plan.Spec.Root, "script": oncePath(a.Name, slot),
			"run_seconds": onceSeconds, "run_memory": noLimit,
		},
		Hosts: []ansible.Host{host(s.Server, nil)},
	}
	return p, p.Validate()
}

// Retire leaves one slot on each seat: the live one starts at boot, the other
// is stopped, and releases not kept go.
func Retire(run string, a plane.App, live plane.Slot, keep []string, seats []Seat) (ansible.Play, error) {
	p := ansible.Play{
		Run: run, Playbook: "app_retire.yml",
		Vars: map[string]any{"app": a.Name, "slot": string(live), "keep": keep},
	}
	for _, s := range seats {
		p.Hosts = append(p.Hosts, host(s.Server, nil))
	}
	return p, p.Validate()
}
