package playbooks

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// keywords are what a task may hold beside its module.
var keywords = []string{
	"name", "when", "vars", "register", "changed_when", "until", "retries", "delay", "loop", "no_log", "become", "failed_when",
}

func yamlFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(FS, ".", func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".yml") {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) < 6 {
		t.Fatalf("found %v, %v", names, err)
	}
	return names
}

// tasksOf gives the tasks of a playbook or of a task file.
func tasksOf(t *testing.T, name string) []map[string]any {
	t.Helper()
	text, err := fs.ReadFile(FS, name)
	if err != nil {
		t.Fatal(err)
	}
	var entries []map[string]any
	if err := yaml.Unmarshal(text, &entries); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var tasks []map[string]any
	for _, entry := range entries {
		if _, isPlay := entry["hosts"]; !isPlay {
			tasks = append(tasks, entry)
			continue
		}
		if entry["gather_facts"] != false {
			t.Errorf("%s: gathers facts, which costs a second and is not used", name)
		}
		for _, task := range entry["tasks"].([]any) {
			tasks = append(tasks, task.(map[string]any))
		}
	}
	return tasks
}

func TestOnlyBuiltinModules(t *testing.T) {
	for _, name := range yamlFiles(t) {
		for _, task := range tasksOf(t, name) {
			var modules []string
			for key := range task {
				if !slices.Contains(keywords, key) {
					modules = append(modules, key)
				}
			}
			if len(modules) != 1 || !strings.HasPrefix(modules[0], "ansible.builtin.") {
				t.Errorf("%s: task %q has module %v, want exactly one of ansible.builtin", name, task["name"], modules)
			}
		}
	}
}

// lookups and filters are modules of a kind, too.
func TestOnlyBuiltinLookups(t *testing.T) {
	lookup := regexp.MustCompile(`lookup\('([^']*)'`)
	for _, name := range yamlFiles(t) {
		text, _ := fs.ReadFile(FS, name)
		for _, found := range lookup.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(found[1], "ansible.builtin.") {
				t.Errorf("%s: lookup %q is not of ansible.builtin", name, found[1])
			}
		}
	}
}

// TestStepsAreThere finds every program a playbook names, and compiles each as it reaches the server.
func TestStepsAreThere(t *testing.T) {
	named := regexp.MustCompile(`step: ([a-z_]+)`)
	seen := map[string]bool{"server": true, "app": true, "database": true}
	for _, name := range yamlFiles(t) {
		text, _ := fs.ReadFile(FS, name)
		for _, found := range named.FindAllStringSubmatch(string(text), -1) {
			seen[found[1]] = true
			if _, err := fs.Stat(FS, "steps/"+found[1]+".py"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	steps, _ := fs.Glob(FS, "steps/*.py")
	for _, step := range steps {
		if !seen[strings.TrimSuffix(filepath.Base(step), ".py")] {
			t.Errorf("no playbook uses %s", step)
		}
	}
	check := "import sys\nfor p in sys.argv[1:]: compile(open(p).read(), p, 'exec')"
	if out, err := exec.Command("/usr/bin/python3", append([]string{"-c", check}, steps...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSyntax(t *testing.T) {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Fatalf("ansible-playbook is missing: run `make setup`: %v", err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, FS); err != nil {
		t.Fatal(err)
	}
	inventory := filepath.Join(dir, "inventory.yml")
	if err := os.WriteFile(inventory, []byte("all: {hosts: {s1: {}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	playbooks, _ := fs.Glob(FS, "*.yml")
	cmd := exec.Command("ansible-playbook", append([]string{"--syntax-check", "-i", inventory}, playbooks...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LANG=C.UTF-8", "ANSIBLE_ROLES_PATH=" + filepath.Join(dir, "roles")}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "playbook: ") != len(playbooks) {
		t.Errorf("%v\n%s", err, out)
	}
}
