package plane

import (
	"slices"
	"strings"
)

// OptionShared lists the paths inside a release that outlive it on their server.
const OptionShared = "shared"

const maxShared = 20

// Shared lists the app's shared paths in order.
func (s Spec) Shared() []string {
	var paths []string
	for p := range strings.SplitSeq(s.Options[OptionShared], ",") {
		if p = strings.TrimSpace(p); p != "" {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// CheckShared accepts plain relative paths, none inside another: the outer one
// is a link by then.
func CheckShared(field string, paths []string) error {
	if len(paths) > maxShared {
		return Invalid(field, "an app has at most 20 shared paths", "share the folder they are in")
	}
	for i, p := range paths {
		if err := CheckRoot(field, p); err != nil || strings.HasPrefix(p, ".git") {
			return Invalid(field, OptionShared+" must list relative paths inside the release, apart by commas", "for example shared=storage,public/uploads")
		}
		for _, o := range paths[:i] {
			if strings.HasPrefix(p, o+"/") {
				return Invalid(field, p+" lies inside "+o+", which is shared already", "name one of the two")
			}
		}
	}
	return nil
}

// CheckMounts is CheckShared for paths of a container: absolute ones, and none that Docker or ServerPlane puts something at.
func CheckMounts(field string, paths []string) error {
	inside := make([]string, len(paths))
	for i, p := range paths {
		below, absolute := strings.CutPrefix(p, "/")
		first, _, _ := strings.Cut(below, "/")
		if !absolute || below == "" || slices.Contains([]string{"proc", "sys", "dev", "etc"}, first) {
			return Invalid(field, OptionShared+" must list absolute paths inside the container, apart by commas, none in /proc, /sys, /dev or /etc", "for example shared=/app/uploads,/data")
		}
		inside[i] = below
	}
	return CheckShared(field, inside)
}
