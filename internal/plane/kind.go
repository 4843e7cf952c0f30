package plane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind says what an app is made of.
type Kind string

// Definition is everything that sets one kind of app apart. A kind is one
// value of this type in a file of its own, and one Ansible role that installs
// its runtime; no other code asks which kind an app is of.
type Definition struct {
	Kind  Kind
	Label string // for a person
	Slot  string // for a person: what runs in a slot

	// What a person may say otherwise.
	Build, RunOnce []string
	Start          string
	HealthPath     string
	Options        []Option

	// Launch is the shell text that starts a slot where Start is empty; nil: Start is needed.
	Launch func(Place) string
	// Fixed kinds start by Launch alone: a start command of the person's has no place.
	Fixed bool
	// Web is the Nginx in front of the slot's own files; nil: the process answers HTTP itself.
	Web func(Place) Web

	// Pool is the slot's own php-fpm; nil: none.
	Pool func(Place) Pool

	// Container says that a release is built into an image and a slot is a container of it; nil: a slot is a process.
	Container func(Place) Container

	// Setup and Settle are shell lines in the release before and after the build steps, whatever those are.
	Setup, Settle func(Place) []string
	// Shared lists paths below the app's root that outlive releases on one server; nil: those of the option alone.
	Shared func(options map[string]string) []string
	// Path lists folders in front of PATH, while building and running.
	Path func(Place) []string
	// Tools are programs that a slot has of its own, by name, as shell text; they come before any other of that name.
	Tools func(Place) map[string]string
	// Carries is a command that prints, as the app's user, what a release got from its server and all backends must have
	// alike; nil, or no words: nothing.
	Carries func(Place) []string
	// Cautions is a command that prints, as the app's user on the primary, what to know before another server serves the app, a
	// line each; nil: nothing.
	Cautions func(Place) []string
	// Variables are given to builds and processes, Running to processes only, unless the app sets them.
	Variables, Running func(Place) map[string]string
	// NotInBuild are variables that no build sees, whoever set them.
	NotInBuild []string
	// Baked tells that variables end up in what is built: a change of them is a build.
	Baked bool
	// Secrets are variables made once, when the app is created.
	Secrets []Secret
	// Beside are processes and cron entries that apps of this kind usually have; a person adds them.
	Beside []Process
	// Trust tells how an app of this kind learns that its forwarded headers may be believed.
	Trust string

	Runtime func(options map[string]string) Runtime

	// Look tells why files look like an app of this kind; no evidence: they do not.
	Look func(Files) Finding
}

// Place is where one release of an app stands in one slot of a server.
type Place struct {
	App     string
	Folder  string // where commands run: the release, or the app's root in it
	Shared  string // outlives releases
	Config  string // the slot's files that ServerPlane writes
	Scratch string // the slot's own folder in memory, while it runs
	Drain   time.Duration
	Options map[string]string
}

// Web is what the Nginx in a slot serves.
type Web struct {
	Root     string // folder below which files are served
	Fallback bool   // a path that is no file gets index.html
	PHP      bool   // index.php, and .php files through the slot's php-fpm, but for what is shared
}

// Pool is a php-fpm: how many requests at once, and how many MiB one of them may take.
type Pool struct{ Workers, Memory int }

// Container is what an image is made by and how it is run.
type Container struct {
	Dockerfile string // file inside the folder where commands run
	Port       int    // the one that is listened on inside
	Memory     int    // limit in MiB; 0: none
	Once       bool   // the image is built on the primary alone, and shipped to the other backends
}

// Runtime is what a kind needs on a server.
type Runtime struct {
	Role     string   // Ansible role that installs it
	Packages []string // Debian packages it is made of
	Commands []string // having these counts as having it; none: the packages must be installed
	Asked    []string // command that prints the version
	Name     string   // for a person, before the version
	Version  string   // wished of the role; empty: Debian's own
	Choice   string   // Debian package that every version has of its own, with %s for the version; empty: packages hold for any
}

// Option is one of a kind's own settings.
type Option struct {
	Name, Default, Rule string
	Accepts             func(string) bool
}

// Secret is a variable with a value nobody chose, the same on every backend.
type Secret struct {
	Name string
	Make func(random []byte) string // from 64 random bytes
}

// Kinds knows the kinds of apps. The zero value knows those the product has.
type Kinds struct{ more []Definition }

// With knows one more.
func (k Kinds) With(d Definition) Kinds { return Kinds{append(slices.Clone(k.more), d)} }

// All lists the kinds by name.
func (k Kinds) All() []Definition {
	all := append([]Definition{docker(), laravel(), nodejs(), php(), python(), static(), wordpress()}, k.more...)
	slices.SortFunc(all, func(a, b Definition) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

// Of finds a kind's definition; one that does not exist is refused.
func (k Kinds) Of(kind Kind) (Definition, error) {
	var names []string
	for _, d := range k.All() {
		if d.Kind == kind {
			return d, nil
		}
		names = append(names, string(d.Kind))
	}
	return Definition{}, Invalid("kind", fmt.Sprintf("there is no kind %q", kind), "use "+oneOf(names))
}

// Complete fills what was left empty with the kind's defaults.
func (k Kinds) Complete(kind Kind, s Spec) Spec {
	d, err := k.Of(kind)
	if err == nil {
		if s.Build == nil {
			s.Build = d.Build
		}
		if s.RunOnce == nil {
			s.RunOnce = d.RunOnce
		}
		s.Start = cmp.Or(s.Start, d.Start)
	}
	s.HealthPath = cmp.Or(s.HealthPath, d.HealthPath, DefaultHealthPath)
	return s
}

// Check holds for an app what its kind demands.
func (k Kinds) Check(a App) error {
	d, err := k.Of(a.Kind)
	if err != nil {
		return err
	}
	switch {
	case a.Spec.Start == "" && d.Launch == nil && d.Container == nil:
		return CheckCommand("start", "")
	case a.Spec.Start != "" && d.Fixed:
		return Invalid("start", fmt.Sprintf("an app of kind %s has no start command: %s", a.Kind, d.Slot), "leave it empty")
	}
	if err := d.checkOptions(a.Spec.Options); err != nil {
		return err
	}
	return d.checkBelowRoot(a.Spec)
}

// checkBelowRoot catches who counts shared paths from the repository's top.
func (d Definition) checkBelowRoot(s Spec) error {
	for _, path := range d.SharedPaths(s.Options) {
		if inside, found := strings.CutPrefix(path, s.Root+"/"); found && s.Root != "" {
			return Invalid("option", fmt.Sprintf("%s %s would be %s/%s: shared paths begin at the app's root", OptionShared, path, s.Root, path), "write "+inside)
		}
	}
	return nil
}

// AllOptions lists the kind's own, and those that every kind has.
func (d Definition) AllOptions() []Option {
	general := []Option{drainOption(), timezoneOption(), switchingOption()}
	if d.Container == nil { // a container's shared paths are its own option
		general = append(general, sharedOption())
	}
	if d.Container == nil && d.Web == nil {
		general = append(general, fixedPortOption())
	}
	all := slices.Clone(d.Options) // a kind's own rule comes first
	for _, o := range general {
		if !slices.ContainsFunc(d.Options, func(own Option) bool { return own.Name == o.Name }) {
			all = append(all, o)
		}
	}
	return all
}

func (d Definition) checkOptions(given map[string]string) error {
	known := d.AllOptions()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		at := slices.IndexFunc(known, func(o Option) bool { return o.Name == name })
		if at < 0 {
			return Invalid("option", fmt.Sprintf("an app of kind %s has no option %q", d.Kind, name), "known: "+names(known))
		}
		if o := known[at]; !o.Accepts(given[name]) {
			return Invalid("option", o.Name+" "+o.Rule, "the default is "+cmp.Or(o.Default, "empty"))
		}
	}
	if err := (Spec{Options: given}).checkFixedPort(); err != nil {
		return err
	}
	shared, check := d.SharedPaths(given), CheckShared
	if d.Container != nil {
		check = CheckMounts
	}
	if err := check("option", shared); err != nil {
		return err
	}
	return d.checkDocumentRoot(given, shared)
}

// SharedPaths lists in order what outlives releases, the kind's own among it.
func (d Definition) SharedPaths(options map[string]string) []string {
	if d.Shared == nil {
		return Spec{Options: options}.Shared()
	}
	paths := d.Shared(options)
	slices.Sort(paths)
	return slices.Compact(paths)
}

// BuiltOnce tells whether the backends are given what was built on the primary.
func (d Definition) BuiltOnce(options map[string]string) bool {
	return d.Container != nil && d.Container(Place{Options: options}).Once
}

// checkDocumentRoot holds that what visitors get is of the release: a shared
// document root would serve the first release for ever.
func (d Definition) checkDocumentRoot(options map[string]string, shared []string) error {
	if d.Web == nil {
		return nil
	}
	root := strings.TrimPrefix(d.Web(Place{Folder: "/r", Options: options}).Root, "/r")
	for _, path := range shared {
		if strings.HasPrefix(root+"/", "/"+path+"/") {
			return Invalid("option", fmt.Sprintf("%s %s is the document root or holds it: visitors would get the first release for ever", OptionShared, path), "share a folder below it, for example "+strings.TrimPrefix(root, "/")+"/uploads")
		}
	}
	return nil
}

// BesideLines are the command lines that add to an app what usually runs beside its slots.
func (d Definition) BesideLines(app string) []string {
	var lines []string
	for _, p := range d.Beside {
		lines = append(lines, p.Line(app))
	}
	return lines
}

func names(options []Option) string {
	var list []string
	for _, o := range options {
		list = append(list, o.Name)
	}
	return strings.Join(list, ", ")
}

// drainOption is one that apps of every kind have.
func drainOption() Option {
	return Option{Name: OptionDrain, Default: "30s", Rule: "must be a duration of 0s to 10m", Accepts: func(s string) bool {
		_, err := Spec{Options: map[string]string{OptionDrain: s}}.drain()
		return err == nil
	}}
}

func timezoneOption() Option {
	return Option{Name: OptionTimezone, Default: "UTC", Rule: "must be a name of the time zone database, such as Europe/Berlin", Accepts: func(s string) bool {
		return CheckTimezone("option", s) == nil
	}}
}

func sharedOption() Option {
	return Option{Name: OptionShared, Rule: "must list relative paths inside the release, apart by commas, none inside another", Accepts: func(s string) bool {
		return CheckShared("option", Spec{Options: map[string]string{OptionShared: s}}.Shared()) == nil
	}}
}

// mountOption is sharedOption for what runs in containers: a folder of the release is no folder of theirs.
func mountOption() Option {
	return Option{Name: OptionShared, Rule: "must list absolute paths inside the container, apart by commas, none inside another, none in /proc, /sys, /dev or /etc", Accepts: func(s string) bool {
		paths := Spec{Options: map[string]string{OptionShared: s}}.Shared()
		return (s == "" || len(paths) == strings.Count(s, ",")+1) && CheckMounts("option", paths) == nil
	}}
}

func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
