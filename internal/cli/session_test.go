package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/cli"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

func exec(t *testing.T, stdin string, args ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Execute(context.Background(), args, cli.Streams{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr}, nil)
	return stdout.String(), stderr.String(), code
}

func TestLoginIsKeptForThisUserAlone(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, "127.0.0.1:0")
	defer stop()
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("SERVERPLANE_URL", "")
	t.Setenv("SERVERPLANE_TOKEN", "")
	if _, errs, code := exec(t, "", "app", "list"); code != 2 || !strings.Contains(errs, "serverplane login") {
		t.Errorf("before: exit %d %s", code, errs)
	}
	if _, errs, code := exec(t, "", "login", "http://"+addr, "--token", "spt_wrong"); code != 1 || strings.Contains(errs, "spt_wrong") {
		t.Errorf("wrong token: exit %d %s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "serverplane", "login.json")); err == nil {
		t.Error("a wrong token was stored")
	}
	if _, errs, code := exec(t, "", "login", "http://"+addr, "--token", webtest.Token(plane.RoleOwner)); code != 0 {
		t.Fatalf("login: exit %d %s", code, errs)
	}
	if info, err := os.Stat(filepath.Join(dir, "serverplane", "login.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("stored as %v, %v", info, err)
	}
	if _, errs, code := exec(t, "", "app", "list"); code != 0 {
		t.Errorf("after: exit %d %s", code, errs)
	}
	t.Setenv("SERVERPLANE_URL", "http://198.18.0.1:1")
	if _, errs, code := exec(t, "", "app", "list"); code != 2 || !strings.Contains(errs, "SERVERPLANE_TOKEN") {
		t.Errorf("the stored token would go to another panel: exit %d %s", code, errs)
	}
	t.Setenv("SERVERPLANE_URL", "")
	t.Setenv("SERVERPLANE_TOKEN", webtest.Token(plane.RoleViewer))
	if _, errs, code := exec(t, "", "deploy", "web"); code != 1 || !strings.Contains(errs, "deployment.write") {
		t.Errorf("the environment's token does not win: exit %d %s", code, errs)
	}
}

func TestNoPanel(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, "127.0.0.1:0")
	stop()
	signIn(t, addr)
	if _, errs, code := exec(t, "", "app", "list"); code != 1 || !strings.Contains(errs, "is the panel running") {
		t.Errorf("exit %d %s", code, errs)
	}
}

// What is typed arrives as it is meant, and passwords come from standard input.
func TestWishes(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, "127.0.0.1:0")
	defer stop()
	signIn(t, addr)
	key := filepath.Join(t.TempDir(), "id")
	file := filepath.Join(t.TempDir(), ".env")
	for path, text := range map[string]string{key: "PEM\n", file: "A='x y'\nB=\"1\\n2\"\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	str := func(s string) *string { return &s }
	add := []string{"server", "add", "s2", "--address", "198.18.0.2"}
	create := []string{"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", "https://x/y.git"}
	cases := []struct {
		stdin string
		args  []string
		verb  string
		want  any
	}{
		{"", append(add, "--host-key", "SHA256:x", "--key", key, "--port", "2222", "--user", "deb", "--private-address", "10.0.0.2", "--firewall", "leave", "--adopt"), "AddServer",
			control.ServerWish{Name: "s2", Address: "198.18.0.2", PrivateAddress: "10.0.0.2", SSHPort: 2222, User: "deb", Key: []byte("PEM\n"), HostKey: "SHA256:x", Firewall: "leave", Adopt: true}},
		{"pass word \r\nsudo\n", append(add, "--accept-host-key", "--password-stdin", "--sudo-password-stdin"), "AddServer",
			control.ServerWish{Name: "s2", Address: "198.18.0.2", SSHPort: 22, User: "root", Password: "pass word ", SudoPassword: "sudo", HostKey: "SHA256:host"}},
		{"", append(create, "--branch", "b", "--domain", "a.b", "--domain", "c.d", "--build", "npm ci", "--build", "x, y", "--start", "s", "--run-once", "m", "--root", "r", "--health-path", "/up", "--option", "k=v=w"), "CreateApp",
			control.AppWish{Name: "web", Server: "s1", Kind: "nodejs", Repository: "https://x/y.git", Branch: "b", Domains: []string{"a.b", "c.d"}, Spec: plane.Spec{
				Build: []string{"npm ci", "x, y"}, Start: "s", RunOnce: []string{"m"}, Root: "r", HealthPath: "/up", Options: map[string]string{"k": "v=w"}}}},
		{"", []string{"app", "set", "web", "--start", "s", "--domain", ""}, "ChangeApp", control.AppChange{Start: str("s"), Domains: &[]string{}}},
		{"", []string{"env", "set", "web", "A= \"$x\"\n#\\", "B="}, "SetVariables", map[string]string{"A": " \"$x\"\n#\\", "B": ""}},
		{"", []string{"env", "import", "web", file}, "SetVariables", map[string]string{"A": "x y", "B": "1\n2"}},
		{"", []string{"env", "unset", "web", "A", "B"}, "UnsetVariables", []string{"A", "B"}},
		{"", []string{"deploy", "web", "--ref", "v1"}, "Deploy", control.DeployWish{Ref: "v1"}},
		{"", []string{"lb", "enable", "web", "--yes", "--method", "ip-hash"}, "EnableBalancer", control.BalancerWish{Method: plane.IPHash, Acknowledge: []string{control.WarningFiles}}},
		{"", []string{"backend", "add", "web", "s2", "--weight", "3", "--backup"}, "AddBackend", control.BackendWish{Server: "s2", Weight: 3, Backup: true}},
		{"", []string{"run", "list", "--app", "web", "--limit", "3", "--before", "run_9"}, "Runs", control.RunFilter{App: "web", Before: "run_9", Limit: 3}},
	}
	for _, c := range cases {
		if _, errs, code := exec(t, c.stdin, c.args...); code != 0 {
			t.Errorf("%v: exit %d %s", c.args, code, errs)
		}
		if diff := cmp.Diff(c.want, p.Wish(c.verb)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestNothingIsSentWithoutConsent(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, "127.0.0.1:0")
	defer stop()
	signIn(t, addr)
	for verb, args := range map[string][]string{
		"EnableBalancer": {"lb", "enable", "web"}, "RemoveApp": {"app", "remove", "web"}, "RemoveServer": {"server", "remove", "s1"},
		"AddServer": {"server", "add", "s1", "--address", "198.18.0.1"},
	} {
		if _, errs, code := exec(t, "", args...); code != 2 || !strings.Contains(errs, "add --") {
			t.Errorf("%v: exit %d %s", args, code, errs)
		}
		if p.Wish(verb) != nil {
			t.Errorf("%v was done", args)
		}
	}
}

func TestSecretsTravelOnlyWhereNobodyListens(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("SERVERPLANE_URL", "http://198.18.0.1:1")
	t.Setenv("SERVERPLANE_TOKEN", "spt_x")
	_, errs, code := exec(t, "hunter2\n", "server", "add", "s1", "--address", "198.18.0.2", "--host-key", "SHA256:x", "--password-stdin")
	if code != 1 || !strings.Contains(errs, "TLS") || strings.Contains(errs, "hunter2") {
		t.Errorf("exit %d %s", code, errs)
	}
}

func TestBinaryValuesAreRefused(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, "127.0.0.1:0")
	defer stop()
	signIn(t, addr)
	if _, errs, code := exec(t, "", "env", "set", "web", "A=\xff"); code != 1 || !strings.Contains(errs, "UTF-8") || p.Wish("SetVariables") != nil {
		t.Errorf("exit %d %s", code, errs)
	}
}
