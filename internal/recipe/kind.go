package recipe

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/nginx"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// place is where a plan's release stands, for its kind to say what belongs there.
func place(p Preparation) plane.Place {
	app, slot := p.App.Name, string(p.Plan.Slot)
	at := plane.Place{
		App: app, Folder: files.ReleaseDir(app, p.Plan.ReleaseID), Shared: files.SharedDir(app), Config: files.SlotDir(app, slot),
		Scratch: files.ScratchDir(app, slot), Drain: p.Plan.Spec.Drain(), Options: p.Plan.Spec.Options,
	}
	if root := p.Plan.Spec.Root; root != "" {
		at.Folder += "/" + root
	}
	return at
}

// runtime tells the play which role installs what where it is missing.
func runtime(kind plane.Definition, s plane.Spec) map[string]any {
	r := kind.Runtime(s.Options)
	return map[string]any{
		"role": r.Role, "packages": some(r.Packages), "commands": some(r.Commands), "version": r.Version, "choice": r.Choice, "name": r.Name,
	}
}

func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// container tells the play what an image is made by and how it is found to listen; empty where slots are processes.
func container(kind plane.Definition, p Preparation) map[string]any {
	if kind.Container == nil {
		return map[string]any{}
	}
	c := kind.Container(place(p))
	var mounts []string
	for _, path := range kind.SharedPaths(p.Plan.Spec.Options) {
		mounts = append(mounts, files.MountName(path))
	}
	return map[string]any{
		"name":       files.ContainerName(p.App.Name, string(p.Plan.Slot)),
		"image":      Image(p.App, p.Plan),
		"dockerfile": c.Dockerfile,
		"port":       c.Port,
		"shared":     some(mounts),
		"from":       string(p.Image),
	}
}

// Image names a release's image on its servers.
func Image(a plane.App, plan plane.Deployment) string {
	return files.ImageName(a.Name) + ":" + plan.ReleaseID
}

// carrier is what runs in a slot: its unit, the script that starts it, and the file it has its variables of.
type carrier struct {
	unit, start, given []byte
	givenAt            string
	network            []byte // the script that looks after it; nil where a slot is no container
}

func carrierOf(kind plane.Definition, at plane.Place, p Preparation, s Seat) (carrier, error) {
	values := processVariables(kind, at, suppliedVariables(p, s))
	if kind.Container != nil {
		return containerOf(kind, at, p, s, values)
	}
	app, slot := p.App.Name, string(p.Plan.Slot)
	unit, err := files.SlotUnit(files.Unit{
		App: app, Slot: slot, Release: p.Plan.ReleaseID, Root: p.Plan.Spec.Root, Scratch: kind.Web != nil, Quit: kind.Web != nil,
		Port: uint16(s.Backend.Ports.Process(p.Plan.Slot)), Server: s.Server.Name, Stop: p.Plan.Spec.Drain() + stopGrace, Alone: p.Plan.Spec.Restarts(),
	})
	if err != nil {
		return carrier{}, err
	}
	env, err := files.Env(values)
	if err != nil {
		return carrier{}, err
	}
	start, err := startScript(kind, at, p.Plan.Spec)
	return carrier{unit: []byte(unit), start: start, given: env, givenAt: files.EnvPath(app, slot)}, err
}

func containerOf(kind plane.Definition, at plane.Place, p Preparation, s Seat, values []files.Var) (carrier, error) {
	app, slot, how := p.App.Name, string(p.Plan.Slot), kind.Container(at)
	c := files.Container{
		App: app, ID: p.App.ID, Slot: slot, Release: p.Plan.ReleaseID, Root: p.Plan.Spec.Root, Port: uint16(s.Backend.Ports.Process(p.Plan.Slot)),
		Inside: uint16(how.Port), Server: s.Server.Name, Memory: uint64(how.Memory), Stop: p.Plan.Spec.Drain() + stopGrace, Variables: values,
		Authorities: authorities(p) != nil, Shared: kind.SharedPaths(p.Plan.Spec.Options), Alone: p.Plan.Spec.Restarts(),
	}
	if s.Backend.Primary {
		for _, d := range p.Databases {
			c.Doors = append(c.Doors, netip.AddrPortFrom(d.Primary.PrivateAddress, uint16(d.Port)))
		}
	}
	unit, err := c.Unit()
	if err != nil {
		return carrier{}, err
	}
	create, err := c.Create()
	if err != nil {
		return carrier{}, err
	}
	network, err := c.Network()
	if err != nil {
		return carrier{}, err
	}
	start, err := c.Start()
	return carrier{unit: []byte(unit), start: start, given: create, givenAt: files.ContainerPath(app, slot), network: network}, err
}

// startScript is the person's own line, or what the kind does without one.
func startScript(kind plane.Definition, at plane.Place, s plane.Spec) ([]byte, error) {
	if s.Start == "" && kind.Launch != nil {
		return files.LaunchScript(kind.Launch(at))
	}
	return files.StartScript(s.Start)
}

// buildScript has the person's own steps between what the kind does in every release.
func buildScript(kind plane.Definition, at plane.Place, s plane.Spec) ([]byte, error) {
	var before, after []string
	if kind.Setup != nil {
		before = kind.Setup(at)
	}
	if kind.Settle != nil {
		after = kind.Settle(at)
	}
	return files.BuildScript(before, s.Build, after)
}

// placeWeb adds the configuration of the slot's own Nginx.
func placeWeb(t *archive, kind plane.Definition, at plane.Place, p Preparation, s Seat) {
	if kind.Web == nil {
		return
	}
	w, slot := kind.Web(at), p.Plan.Slot
	text, err := nginx.RenderWeb(nginx.Web{
		App: p.App.Name, Slot: string(slot), Root: w.Root, Fallback: w.Fallback, PHP: w.PHP, Shared: at.Shared, Scratch: at.Scratch,
		Listen: netip.AddrPortFrom(loopback(), uint16(s.Backend.Ports.Process(slot))),
	})
	t.app(files.WebPath(p.App.Name, string(slot)), 0o640, []byte(text), err)
}

// placePool adds the configuration of the slot's own php-fpm.
func placePool(t *archive, kind plane.Definition, at plane.Place, p Preparation) {
	if kind.Pool == nil {
		return
	}
	pool, slot := kind.Pool(at), string(p.Plan.Slot)
	text, err := files.FPM{
		App: p.App.Name, Slot: slot, Workers: pool.Workers, Memory: pool.Memory, Stop: p.Plan.Spec.Drain() + stopGrace,
	}.Encode()
	t.app(files.FPMPath(p.App.Name, slot), 0o640, text, err)
}

// caBundle is the system's list of authorities: Node.js from npm has its own
// and hangs behind a private one (facts: npm ci hung 70 s without it).
const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// processVariables is what a process sees besides what its unit sets.
func processVariables(kind plane.Definition, at plane.Place, values map[string]string) []files.Var {
	if kind.Container != nil {
		return vars(values) // what this server has is not in the image
	}
	all := withDefaults(kind, at, values)
	if kind.Running != nil {
		fill(all, kind.Running(at))
	}
	return vars(all)
}

func buildVariables(kind plane.Definition, at plane.Place, values map[string]string) []files.Var {
	all := withDefaults(kind, at, values)
	for _, name := range kind.NotInBuild {
		delete(all, name)
	}
	return vars(all)
}

func withDefaults(kind plane.Definition, at plane.Place, values map[string]string) map[string]string {
	all := maps.Clone(values)
	if all == nil {
		all = map[string]string{}
	}
	fill(all, map[string]string{"NODE_EXTRA_CA_CERTS": caBundle})
	if kind.Variables != nil {
		fill(all, kind.Variables(at))
	}
	if own := folders(kind, at); len(own) > 0 {
		fill(all, map[string]string{"PATH": strings.Join(append(own, usualPath), ":")})
	}
	return all
}

// folders are those in front of PATH.
func folders(kind plane.Definition, at plane.Place) []string {
	var own []string
	if len(tools(kind, at)) > 0 {
		own = append(own, at.Config)
	}
	if kind.Path != nil {
		own = append(own, kind.Path(at)...)
	}
	return own
}

func tools(kind plane.Definition, at plane.Place) map[string]string {
	if kind.Tools == nil {
		return nil
	}
	return kind.Tools(at)
}

// placeTools adds the programs that a slot has of its own.
func placeTools(t *archive, kind plane.Definition, at plane.Place, p Preparation) {
	all := tools(kind, at)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, err := files.LaunchScript(all[name])
		t.app(files.SlotDir(p.App.Name, string(p.Plan.Slot))+"/"+name, 0o750, text, err)
	}
}

// Carried asks a server what the plan's release got from it and all backends must have alike; false: nothing.
func Carried(kind plane.Definition, a plane.App, plan plane.Deployment) (remote.Command, bool) {
	return asApp(kind.Carries, a, plan)
}

// Cautions asks the primary what to know of the plan's release before another server serves it, too; false: nothing.
func Cautions(kind plane.Definition, a plane.App, plan plane.Deployment) (remote.Command, bool) {
	return asApp(kind.Cautions, a, plan)
}

// asApp runs words as the app's user: what lies in a release may be a link to anywhere.
func asApp(words func(plane.Place) []string, a plane.App, plan plane.Deployment) (remote.Command, bool) {
	if words == nil {
		return remote.Command{}, false
	}
	args := words(place(Preparation{App: a, Plan: plan}))
	return remote.Command{Args: append([]string{"runuser", "-u", files.UserName(a.Name), "--"}, args...), Sudo: true}, len(args) > 0
}

// usualPath is what systemd gives to services.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// fill adds what was not set.
func fill(all, more map[string]string) {
	for name, value := range more {
		if _, given := all[name]; !given {
			all[name] = value
		}
	}
}

func vars(values map[string]string) []files.Var {
	out := make([]files.Var, 0, len(values))
	for name, value := range values {
		out = append(out, files.Var{Name: name, Value: value})
	}
	return out
}

// CheckVariables holds that the values together can be given to a process.
func CheckVariables(kind plane.Definition, values map[string]string) error {
	if _, err := files.Env(processVariables(kind, plane.Place{}, values)); err != nil {
		return plane.Invalid("values", err.Error(), "shorten or unset some")
	}
	return nil
}
