package files

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSudoUnderstandsSudoers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serverplane")
	if err := os.WriteFile(path, []byte(Sudoers), 0o440); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("visudo", "-c", "-s", "-f", path).CombinedOutput(); err != nil {
		t.Errorf("visudo (sudo comes with `make setup`): %v\n%s", err, out)
	}
}

// TestSSHDLetsOnlyTheLoginForward asks the real sshd what holds for whom, under a main
// configuration that forbids forwarding and goes on after the drop-in.
func TestSSHDLetsOnlyTheLoginForward(t *testing.T) {
	os.MkdirAll("/run/sshd", 0o755) // made by sshd's unit on a booted machine; sshd names it if it is missing
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen (openssh comes with `make setup`): %v %s", err, out)
	}
	write("drop.conf", SSHD)
	config := write("sshd_config", "HostKey "+key+"\nInclude "+dir+"/drop.conf\nAllowTcpForwarding no\nMaxAuthTries 3\n")
	for user, want := range map[string]string{Login: "allowtcpforwarding local", "root": "allowtcpforwarding no"} {
		out, err := exec.Command("/usr/sbin/sshd", "-T", "-f", config, "-C", "user="+user+",host=x,addr=10.0.0.1").CombinedOutput()
		text := strings.ToLower(string(out))
		if err != nil || !strings.Contains(text, want+"\n") || !strings.Contains(text, "maxauthtries 3\n") {
			t.Errorf("%s: want %q, got %v\n%s", user, want, err, out)
		}
	}
}

func goodManifest() Manifest {
	return Manifest{App: "web", ID: "app_0123456789abcdef", User: "sp_web", Units: []string{"sp-web-a.service", "sp-web-b.service"},
		Nginx: []string{"conf.d/sp-web.conf"}, UFW: []string{"serverplane web"}, Folders: []string{"/home/sp_web", "/etc/serverplane/apps/web"},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func TestManifestIsReadBack(t *testing.T) {
	text, err := goodManifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeManifest(text)
	if err != nil || !reflect.DeepEqual(got, goodManifest()) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestManifestRefusesWhatIsNotTheApps(t *testing.T) {
	for field, change := range map[string]func(*Manifest){
		"app":        func(m *Manifest) { m.App = "Web" },
		"id":         func(m *Manifest) { m.ID = "web" },
		"user":       func(m *Manifest) { m.User = "root" },
		"units[1]":   func(m *Manifest) { m.Units[1] = "sp-web-api-a.service" },
		"nginx[0]":   func(m *Manifest) { m.Nginx[0] = "conf.d/../nginx.conf" },
		"ufw[0]":     func(m *Manifest) { m.UFW[0] = "serverplane web-api" },
		"folders[0]": func(m *Manifest) { m.Folders[0] = "/home" },
	} {
		m := goodManifest()
		change(&m)
		var refusal *Refusal
		if _, err := m.Encode(); !errors.As(err, &refusal) || refusal.Field != field {
			t.Errorf("%s: encoded, or %v", field, err)
		}
		text, _ := json.Marshal(m)
		if _, err := DecodeManifest(text); !errors.As(err, &refusal) || refusal.Field != field {
			t.Errorf("%s: decoded, or %v", field, err)
		}
	}
}

func TestNamesOfNeighboursNeverMeet(t *testing.T) {
	seen := map[string]string{}
	for _, app := range []string{"web", "web-a", "web-b", "web-api", "web-run", "web-run-a", "a", "b"} {
		names := []string{UserName(app), UnitName(app, "a"), UnitName(app, "b"), TransientUnit(app, "run_0123456789abcdef") + ".service",
			EnvPath(app, "a"), StartPath(app, "a"), BuildPath(app, "a"), EnvPath(app, "b"), StartPath(app, "b"), BuildPath(app, "b"), LiveMarker(app), ManifestPath(app)}
		for _, n := range names {
			if owner, taken := seen[n]; taken {
				t.Errorf("%s belongs to %s and %s", n, owner, app)
			}
			seen[n] = app
		}
	}
	if n := len(UserName("abcdefghijklmnopqrstuvwx")); n > 32 {
		t.Errorf("a user name of %d characters is refused by useradd", n)
	}
}
