package recipe

import (
	"fmt"
	"io"

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
	Kinds     plane.Kinds
	Image     ImageFrom
	Start     Start
}

// ImageFrom says where the image of a release comes from, where slots are containers.
type ImageFrom string

// The places that an image comes from.
const (
	ImageBuilt   ImageFrom = ""        // the server builds it
	ImageAwaited ImageFrom = "awaited" // all is made ready for it, and nothing is started
	ImageShipped ImageFrom = "shipped" // it is there
)

// Start says what becomes of a slot that is prepared.
type Start int

// The ways to start a slot.
const (
	StartBeside  Start = iota // beside the other one, whether that runs or not
	StartInstead              // the other one is stopped first, and started again where this one does not come up
	StartNot                  // it is built only
)

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
	kind, err := p.Kinds.Of(p.App.Kind)
	if err != nil {
		return ansible.Play{}, err
	}
	play := ansible.Play{
		Run: p.Run, Playbook: "app_prepare.yml",
		Vars: map[string]any{
			"app": p.App.Name, "runtime": runtime(kind, p.Plan.Spec), "slot": slot, "release": p.Plan.ReleaseID, "root": p.Plan.Spec.Root,
			"archive": archiveName, "shared": linked(kind, p.Plan.Spec), "build_env": buildEnvPath(p.App.Name, slot), "build_script": files.BuildPath(p.App.Name, slot),
			"container": container(kind, p), "build_seconds": buildSeconds, "build_memory": noLimit, "start_seconds": startSeconds, "rebuild": false,
			"starts": p.Start != StartNot, "instead": p.Start == StartInstead || p.Plan.Spec.Restarts(),
		},
		Files: []ansible.File{{Name: archiveName, Open: p.Archive}},
	}
	for _, s := range p.Seats {
		tree, err := slotTree(p, kind, s)
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

// linked are the shared paths that a release is given links to; containers see theirs by themselves.
func linked(kind plane.Definition, s plane.Spec) []string {
	if kind.Container != nil {
		return []string{}
	}
	return some(kind.SharedPaths(s.Options))
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
func slotTree(p Preparation, kind plane.Definition, s Seat) ([]byte, error) {
	app, slot, at := p.App.Name, string(p.Plan.Slot), place(p)
	runs, err := carrierOf(kind, at, p, s)
	if err != nil {
		return nil, err
	}
	list, err := manifest(p.App, kind)
	if err != nil {
		return nil, err
	}
	t := newTree(files.UserName(app))
	t.root(files.ManifestPath(app), 0o600, list, nil)
	t.root(files.UnitPath(app, slot), 0o644, runs.unit, nil)
	t.root(runs.givenAt, 0o600, runs.given, nil)
	env, err := files.Env(buildVariables(kind, at, suppliedVariables(p, s)))
	t.root(buildEnvPath(app, slot), 0o600, env, err)
	if ca := authorities(p); ca != nil {
		mode := int64(0o640)
		if kind.Container != nil { // its user is somebody else, and a certificate is no secret
			mode = 0o644
		}
		t.app(files.CAPath(app, slot), mode, ca, nil)
	}
	t.app(files.StartPath(app, slot), 0o640, runs.start, nil)
	if runs.network != nil {
		t.app(files.NetworkPath(app, slot), 0o640, runs.network, nil)
	}
	text, err := buildScript(kind, at, p.Plan.Spec)
	t.app(files.BuildPath(app, slot), 0o640, text, err)
	text, err = files.Script(p.Plan.Spec.RunOnce)
	t.app(oncePath(app, slot), 0o640, text, err)
	placeWeb(t, kind, at, p, s)
	placePool(t, kind, at, p)
	placeTools(t, kind, at, p)
	return t.close()
}

func manifest(a plane.App, kind plane.Definition) ([]byte, error) {
	m := files.Manifest{
		App: a.Name, ID: a.ID, User: files.UserName(a.Name),
		Units:   []string{files.UnitName(a.Name, "a"), files.UnitName(a.Name, "b")},
		Nginx:   []string{"conf.d/sp-" + a.Name + ".conf"},
		UFW:     []string{"serverplane " + a.Name},
		Folders: []string{files.Home(a.Name), files.ConfigDir(a.Name)},
		Created: a.CreatedAt,
	}
	m.Container = kind.Container != nil
	return m.Encode()
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
