package plane

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Files is a repository as far as kinds look at it: the path of every file, and the text of small ones near its top.
type Files struct {
	Paths []string
	Texts map[string]string
}

// LooksInside tells whether the text of a file is worth reading.
func LooksInside(path string) bool {
	return strings.Count(path, "/") <= 2 && (strings.HasSuffix("/"+path, "/"+laravelRoutes) || slices.Contains([]string{
		"package.json", "composer.json", "requirements.txt", "pyproject.toml", "main.py", "app.py", "Dockerfile",
	}, path[strings.LastIndex(path, "/")+1:]))
}

// In keeps what lies below a folder, as seen from there.
func (f Files) In(root string) Files {
	if root == "" {
		return f
	}
	out := Files{Texts: map[string]string{}}
	for _, p := range f.Paths {
		if inside, found := strings.CutPrefix(p, root+"/"); found {
			out.Paths = append(out.Paths, inside)
		}
	}
	for p, text := range f.Texts {
		if inside, found := strings.CutPrefix(p, root+"/"); found {
			out.Texts[inside] = text
		}
	}
	return out
}

// Has tells whether there is such a file.
func (f Files) Has(path string) bool { return slices.Contains(f.Paths, path) }

// HasFolder tells whether any file lies in the folder.
func (f Files) HasFolder(path string) bool {
	return slices.ContainsFunc(f.Paths, func(p string) bool { return strings.HasPrefix(p, path+"/") })
}

// Says tells whether a file's text holds a word.
func (f Files) Says(path, word string) bool { return strings.Contains(f.Texts[path], word) }

// Finding is why files look like an app of a kind.
type Finding struct {
	Sure     int // of two kinds the surer one is proposed
	Evidence []string
	Options  map[string]string
	Build    []string // steps after the kind's own
	Health   string   // path at which the files say that they answer; empty: they say none
}

// Proposal is a kind for a repository, with what the app would be built and run by.
type Proposal struct {
	Kind     Kind
	Label    string
	Evidence []string
	Others   []string // other kinds it might be, each with its evidence
	Build    []string // steps of Spec that an app of the kind does not have by itself
	Health   string   // the path of Spec, where the files say one
	Spec     Spec
}

// looked is a kind and why files look like it.
type looked struct {
	Definition
	Finding
}

func (l looked) String() string { return string(l.Kind) + " (" + l.Evidence[0] + ")" }

// look lists the kinds that files look like, the surest first.
func (k Kinds) look(f Files) []looked {
	var all []looked
	for _, d := range k.All() {
		if d.Look == nil {
			continue
		}
		if found := d.Look(f); found.Sure > 0 && len(found.Evidence) > 0 {
			all = append(all, looked{d, found})
		}
	}
	slices.SortStableFunc(all, func(a, b looked) int { return cmp.Compare(b.Sure, a.Sure) })
	return all
}

// Propose finds the kind that the files below the given root look like most. That nothing fits is an error, which names folders
// that would.
func (k Kinds) Propose(f Files, given Spec) (Proposal, error) {
	all := k.look(f.In(given.Root))
	if len(all) == 0 {
		return Proposal{}, k.nothing(f, given.Root)
	}
	best := all[0]
	s := given
	s.Options = maps.Clone(best.Finding.Options)
	if s.Options == nil {
		s.Options = map[string]string{}
	}
	maps.Copy(s.Options, given.Options)
	s.HealthPath = cmp.Or(given.HealthPath, best.Health)
	p := Proposal{Kind: best.Kind, Label: cmp.Or(best.Label, string(best.Kind)), Evidence: best.Evidence, Health: best.Health, Spec: k.Complete(best.Kind, s)}
	if given.Build == nil {
		p.Build = best.Finding.Build
		p.Spec.Build = append(slices.Clone(p.Spec.Build), p.Build...)
	}
	for _, other := range all[1:] {
		p.Others = append(p.Others, other.String())
	}
	return p, nil
}

// nothing is the error for files that look like no kind.
func (k Kinds) nothing(f Files, root string) error {
	where := "at the top of the repository"
	if root != "" {
		where = "in the folder " + root
		if !f.HasFolder(root) {
			return Invalid("root", "there is no folder "+root+" in the repository", "say a folder that is there, from the top of the repository on")
		}
	}
	folders := k.folders(f.In(root))
	if len(folders) == 0 {
		return Invalid("kind", "nothing "+where+" tells what the app is made of", "say its kind, or the folder it is in as its root")
	}
	return Invalid("kind", "nothing "+where+" tells what the app is made of, but folders in it do: "+strings.Join(folders, ", "), "say one of them as the app's root, or the app's kind")
}

const (
	maxFolders = 5   // that are named
	maxLooks   = 200 // that are looked into
)

// folders lists those that look like an app of some kind, two levels deep, none inside another one.
func (k Kinds) folders(f Files) []string {
	var found, named []string
	for _, folder := range f.folders() {
		inside := func(outer string) bool { return strings.HasPrefix(folder, outer+"/") }
		if len(found) == maxFolders || slices.ContainsFunc(found, inside) {
			continue
		}
		if all := k.look(f.In(folder)); len(all) > 0 {
			found, named = append(found, folder), append(named, folder+": "+all[0].String())
		}
	}
	return named
}

// folders lists those of the first two levels, an outer one before those in it; hidden ones, and what package managers fill, are no app's.
func (f Files) folders() []string {
	seen := map[string]bool{}
	for _, p := range f.Paths {
		parts := strings.Split(p, "/")
		for n := 1; n < len(parts) && n <= 2; n++ {
			if name := parts[n-1]; strings.HasPrefix(name, ".") || name == "node_modules" || name == "vendor" {
				break
			}
			seen[strings.Join(parts[:n], "/")] = true
		}
	}
	all := slices.Sorted(maps.Keys(seen))
	return all[:min(len(all), maxLooks)]
}

// seen is a finding when the file is there.
func seen(f Files, sure int, path, means string) Finding {
	if !f.Has(path) {
		return Finding{}
	}
	return Finding{Sure: sure, Evidence: []string{path + ": " + means}}
}
