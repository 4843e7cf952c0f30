package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func goodContainer() Container {
	return Container{
		App: "web", ID: "app_abcdefghijklmnop", Slot: "a", Release: "20260102030405-0123abc", Root: "apps/site", Port: 20001, Inside: 3000,
		Server: "s1", Memory: 512, Stop: 30 * time.Second, Authorities: true, Shared: []string{"/app/uploads", "/data"},
		Doors:     []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:5432"), netip.MustParseAddrPort("10.0.0.1:3306")},
		Variables: []Var{{"PLAIN", "x"}, {"LINES", "one\ntwo \"three\" \\ $HOME\t"}, {"PORT", "1"}, {"LD_PRELOAD", "/evil.so"}},
	}
}

func TestContainerGolden(t *testing.T) {
	c := goodContainer()
	unit, err := c.Unit()
	if err != nil {
		t.Fatal(err)
	}
	create, err := c.Create()
	if err != nil {
		t.Fatal(err)
	}
	start, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	network, err := c.Network()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"container.service": unit, "container.json": string(create), "container.start": string(start), "container.network": string(network)} {
		golden(t, name, got)
	}
}

func TestSystemdAndShellUnderstandTheContainer(t *testing.T) {
	unit, _ := goodContainer().Unit()
	path := filepath.Join(t.TempDir(), "sp-web-a.service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), filepath.Base(path)) {
		t.Errorf("systemd-analyze verify: %v\n%s\n%s", err, out, unit)
	}
	start, _ := goodContainer().Start()
	network, _ := goodContainer().Network()
	for _, script := range [][]byte{start, network} {
		check := exec.Command("/bin/sh", "-n")
		check.Stdin = bytes.NewReader(script)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// What a person may set never replaces what tells the process its place, and is in nothing but the file that Docker reads.
func TestContainerVariables(t *testing.T) {
	c := goodContainer()
	text, _ := c.Create()
	var body struct{ Env []string }
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"HOST=0.0.0.0", "LD_PRELOAD=/evil.so", "LINES=one\ntwo \"three\" \\ $HOME\t", "PLAIN=x", "PORT=3000",
		"SERVERPLANE_RELEASE=20260102030405-0123abc", "SERVERPLANE_SERVER=s1",
	}
	if !slices.Equal(body.Env, want) {
		t.Errorf("%q", body.Env)
	}
	unit, _ := c.Unit()
	start, _ := c.Start()
	if both := unit + string(start); strings.Contains(both, "evil") || strings.Contains(both, "EnvironmentFile") {
		t.Error("a variable of the app's means something to what root runs")
	}
}

func TestContainerRefusals(t *testing.T) {
	for field, change := range map[string]func(*Container){
		"app":               func(c *Container) { c.App = "web;id" },
		"id":                func(c *Container) { c.ID = "app_$(id)" },
		"slot":              func(c *Container) { c.Slot = "c" },
		"release":           func(c *Container) { c.Release = "latest" },
		"root":              func(c *Container) { c.Root = "../x" },
		"server":            func(c *Container) { c.Server = "s 1" },
		"port":              func(c *Container) { c.Port = 80 },
		"inside":            func(c *Container) { c.Inside = 0 },
		"memory":            func(c *Container) { c.Memory = 1 },
		"stop":              func(c *Container) { c.Stop = 0 },
		"shared":            func(c *Container) { c.Shared = []string{"/data/../etc"} },
		"doors":             func(c *Container) { c.Doors = []netip.AddrPort{netip.MustParseAddrPort("[::1]:5432")} },
		"variables[TWICE]":  func(c *Container) { c.Variables = []Var{{"TWICE", ""}, {"TWICE", ""}} },
		"variables[BROKEN]": func(c *Container) { c.Variables = []Var{{"BROKEN", "\x00"}} },
	} {
		c := goodContainer()
		change(&c)
		var refusal *Refusal
		for _, f := range []func() error{
			func() error { _, err := c.Unit(); return err }, func() error { _, err := c.Create(); return err }, func() error { _, err := c.Start(); return err },
			func() error { _, err := c.Network(); return err },
		} {
			if err := f(); !errors.As(err, &refusal) || refusal.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
}

func TestBridgeNamesFitAnInterface(t *testing.T) {
	if got := BridgeName("app_abcdefghijklmnop"); got != "sp-efghijklmnop" || len(got) > 15 {
		t.Errorf("%q", got)
	}
}

// Names in the shared folder are as many as paths, and each is one level deep.
func TestMountNames(t *testing.T) {
	seen := map[string]string{}
	for _, path := range []string{"/data", "/data/up", "/data-up", "/data_up", "/data.up", "/d/ata/up"} {
		name := MountName(path)
		if other, taken := seen[name]; taken || strings.Contains(name, "/") {
			t.Errorf("%s and %s are both kept in %s", path, other, name)
		}
		seen[name] = path
	}
}

func TestManifestOfContainers(t *testing.T) {
	m := Manifest{App: "web", ID: "app_abcdefghijklmnop", User: "sp_web", Container: true, Created: time.Now()}
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeManifest(text); err != nil || !back.Container {
		t.Errorf("%+v, %v", back, err)
	}
}
