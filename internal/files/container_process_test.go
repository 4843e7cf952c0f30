package files

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestContainerProcessGolden(t *testing.T) {
	p := process()
	unit, err := ContainerProcessUnit(p)
	if err != nil {
		t.Fatal(err)
	}
	run, err := ContainerCronRunUnit(p)
	if err != nil {
		t.Fatal(err)
	}
	script, err := ContainerProcessScript(p, "node worker.js; echo \"$X\" it's", false)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"container-process@.service": unit, "container-cron.service": run, "container-process.start": string(script)} {
		golden(t, name, got)
	}
}

// What runs in an image without a shell is told apart without looking at the image.
func TestContainerCommand(t *testing.T) {
	for line, want := range map[string][]string{
		"/app work --every=1m ":       {"/app", "work", "--every=1m"},
		"\t/usr/bin/env  A=b /x":      {"/usr/bin/env", "A=b", "/x"},
		"node worker.js":              {"/bin/sh", "-ec", "exec node worker.js"},
		"/app work; /app tidy":        {"/bin/sh", "-ec", "trap 'exit 143' TERM\n/app work; /app tidy"},
		`/app "two words"`:            {"/bin/sh", "-ec", `exec /app "two words"`},
		"/app $HOME":                  {"/bin/sh", "-ec", "exec /app $HOME"},
		"/app *":                      {"/bin/sh", "-ec", "exec /app *"},
		"/":                           {"/bin/sh", "-ec", "exec /"},
		"/app\nid":                    {"/bin/sh", "-ec", "trap 'exit 143' TERM\n/app\nid"},
		"cd /data && ./tidy > /tmp/x": {"/bin/sh", "-ec", "trap 'exit 143' TERM\ncd /data && ./tidy > /tmp/x"},
	} {
		if got := containerCommand(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// The script is run here with programs that stand in for Docker's, to read what it asks for.
func TestContainerProcessIsMadeOfTheSlots(t *testing.T) {
	p := process()
	script, err := ContainerProcessScript(p, "/app work 'x y'", true)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := goodContainer().Create()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"container.json": string(slot), "network": "exit 0\n",
		"docker": "#!/bin/sh\ncase \"$*\" in *start*) exit 7 ;; esac\n", "curl": "#!/bin/sh\ncat >" + dir + "/asked\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command("/bin/sh", "-c", strings.ReplaceAll(string(script), SlotDir("web", "a"), dir))
	run.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "SERVERPLANE_RELEASE=" + p.Release, "SERVERPLANE_SERVER=s1", "SERVERPLANE_PROCESS=mail", "SERVERPLANE_INSTANCE=1"}
	out, err := run.CombinedOutput()
	if run.ProcessState.ExitCode() != 7 {
		t.Fatalf("%v, not as its container ended:\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	var asked struct {
		Image           string
		Entrypoint, Env []string
		ExposedPorts    map[string]any
		HostConfig      struct {
			NetworkMode  string
			PortBindings map[string]any
			Memory       int
			Init         bool
			Binds        []string
		}
	}
	if err := json.Unmarshal(text, &asked); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	h := asked.HostConfig
	if len(asked.ExposedPorts)+len(h.PortBindings) > 0 || h.NetworkMode != "sp-web" || h.Memory != 512<<20 || !h.Init || len(h.Binds) != 4 || asked.Image != "sp-web:"+p.Release {
		t.Errorf("%+v", asked)
	}
	if want := []string{"/bin/sh", "-ec", "exec /app work 'x y'"}; !slices.Equal(asked.Entrypoint, want) {
		t.Errorf("%q", asked.Entrypoint)
	}
	want := []string{
		"HOST=0.0.0.0", "LD_PRELOAD=/evil.so", "LINES=one\ntwo \"three\" \\ $HOME\t", "PLAIN=x",
		"SERVERPLANE_RELEASE=" + p.Release, "SERVERPLANE_SERVER=s1", "SERVERPLANE_PROCESS=mail", "SERVERPLANE_INSTANCE=1",
	}
	if !slices.Equal(asked.Env, want) {
		t.Errorf("%q", asked.Env)
	}
}

func TestSystemdUnderstandsTheContainersProcess(t *testing.T) {
	for name, render := range map[string]func(Process) (string, error){"sp-web_p_mail@.service": ContainerProcessUnit, "sp-web_c_mail.service": ContainerCronRunUnit} {
		unit, err := render(process())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), filepath.Base(path)) {
			t.Errorf("systemd-analyze verify: %v\n%s\n%s", err, out, unit)
		}
	}
}
