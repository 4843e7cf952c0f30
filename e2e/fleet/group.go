package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Each server lives in control groups of its own, so that the memory and the processes of one cannot take the machine's.
// A machine has either version 2 (one tree) or version 1 (one tree per controller).

// The trees of version 1 that every server has groups in, and those that only Docker inside needs: elsewhere they would change who
// gets how much of the machine.
var (
	usualTrees  = []string{"systemd", "unified", "memory", "pids"}
	dockerTrees = []string{"cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio"}
)

// groupRoots returns those of the trees that this machine has.
func groupRoots(names ...string) []string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return []string{"/sys/fs/cgroup"}
	}
	var roots []string
	for _, name := range names {
		root := filepath.Join("/sys/fs/cgroup", name)
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err == nil {
			roots = append(roots, root)
		}
	}
	return roots
}

// makeGroups makes a server's groups with its limits and returns the files that a process joins them by.
func makeGroups(machine string, memory int64, processes int, docker bool) ([]string, error) {
	trees := usualTrees
	if docker {
		trees = slices.Concat(usualTrees, dockerTrees)
	}
	var joins []string
	for _, root := range groupRoots(trees...) {
		dir := filepath.Join(root, "sp-fleet-"+machine)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("making a control group: %w", err)
		}
		// Version 1 and version 2 name their limits differently; a controller that is not there has no file.
		for name, value := range map[string]string{
			"memory.limit_in_bytes": fmt.Sprint(memory),
			"memory.max":            fmt.Sprint(memory),
			"pids.max":              fmt.Sprint(processes),
		} {
			file := filepath.Join(dir, name)
			if _, err := os.Stat(file); err != nil {
				continue
			}
			if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
				return nil, fmt.Errorf("limiting a server: %w", err)
			}
		}
		if filepath.Base(root) == "cpuset" {
			if err := inheritPlaces(root, dir); err != nil {
				return nil, err
			}
		}
		joins = append(joins, filepath.Join(dir, "cgroup.procs"))
	}
	return joins, nil
}

// inheritPlaces says where the members of a group may run: before that, a group of this tree takes nobody in.
func inheritPlaces(root, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), value, 0o644)
		}
		if err != nil {
			return fmt.Errorf("placing a server: %w", err)
		}
	}
	return nil
}

// removeGroups removes the groups of all servers of a fleet, or of one server if the name is a machine's.
func removeGroups(name string) {
	for _, root := range groupRoots(slices.Concat(usualTrees, dockerTrees)...) {
		dirs, _ := filepath.Glob(filepath.Join(root, "sp-fleet-"+name+"*"))
		for _, dir := range dirs {
			if base := filepath.Base(dir); base == "sp-fleet-"+name || strings.HasPrefix(base, "sp-fleet-"+name+"-") {
				removeTree(dir)
			}
		}
	}
}

// removeTree removes groups from the leaves up: their files cannot be removed, only the folders.
func removeTree(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			removeTree(filepath.Join(dir, entry.Name()))
		}
	}
	_ = os.Remove(dir)
}
