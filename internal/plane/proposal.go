package plane

import (
	"cmp"
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
	return strings.Count(path, "/") <= 1 && slices.Contains([]string{
		"package.json", "composer.json", "requirements.txt", "pyproject.toml", "main.py", "app.py", "Dockerfile",
	}, path[strings.LastIndex(path, "/")+1:])
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
}

// Proposal is a kind for a repository, with what the app would be built and run by.
type Proposal struct {
	Kind     Kind
	Label    string
	Evidence []string
	Spec     Spec
}

// Propose finds the kind that files look like most. That nothing fits is an error.
func (k Kinds) Propose(f Files, given Spec) (Proposal, error) {
	var best Finding
	var of Definition
	for _, d := range k.All() {
		if d.Look == nil {
			continue
		}
		if found := d.Look(f); len(found.Evidence) > 0 && found.Sure > best.Sure {
			best, of = found, d
		}
	}
	if best.Sure == 0 {
		return Proposal{}, Invalid("kind", "nothing in the repository tells what the app is made of", "say its kind, or the folder it is in as its root")
	}
	s := given
	s.Options = map[string]string{}
	for _, from := range []map[string]string{best.Options, given.Options} {
		for name, value := range from {
			s.Options[name] = value
		}
	}
	return Proposal{Kind: of.Kind, Label: cmp.Or(of.Label, string(of.Kind)), Evidence: best.Evidence, Spec: k.Complete(of.Kind, s)}, nil
}

// seen is a finding when the file is there.
func seen(f Files, sure int, path, means string) Finding {
	if !f.Has(path) {
		return Finding{}
	}
	return Finding{Sure: sure, Evidence: []string{path + ": " + means}}
}
