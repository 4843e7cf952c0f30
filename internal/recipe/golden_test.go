package recipe_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
)

var update = flag.Bool("update", false, "write what is rendered into the golden files")

// golden compares text with testdata/<name>; `go test ./internal/recipe -update` writes it.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s changed (-want +got); if that is meant, run with -update:\n%s", path, diff)
	}
}

// The scenes an app's part in Nginx goes through. What is told is the site and
// upstreams; the text of all other files is nginx's own concern.
func TestTree(t *testing.T) {
	for name, scene := range map[string]struct {
		on      int // server
		arrange func(a *plane.App, seats []recipe.Seat) []recipe.Seat
	}{
		"before-first-deployment": {1, func(a *plane.App, s []recipe.Seat) []recipe.Seat { a.LiveSlot = ""; return s[:1] }},
		"primary-only":            {1, func(_ *plane.App, s []recipe.Seat) []recipe.Seat { return s[:1] }},
		"without-domain":          {1, func(a *plane.App, s []recipe.Seat) []recipe.Seat { a.Domains = nil; return s[:1] }},
		"three-backends": {1, func(_ *plane.App, s []recipe.Seat) []recipe.Seat {
			s[1].Backend.Weight = 5
			s[2].Backend.Backup = true
			return s
		}},
		"not-placed-yet":         {1, func(_ *plane.App, s []recipe.Seat) []recipe.Seat { s[1].Backend.Placed = false; return s[:2] }},
		"removing":               {1, func(_ *plane.App, s []recipe.Seat) []recipe.Seat { s[1].Backend.Removing = true; return s }},
		"off-round-robin":        {1, off(plane.RoundRobin)},
		"off-least-connections":  {1, off(plane.LeastConnections)},
		"off-ip-hash":            {1, off(plane.IPHash)},
		"on-a-backend":           {2, func(_ *plane.App, s []recipe.Seat) []recipe.Seat { return s }},
		"on-a-backend-of-live-b": {2, func(a *plane.App, s []recipe.Seat) []recipe.Seat { a.LiveSlot = plane.SlotB; return s }},
		"behind-ip-hash": {1, func(a *plane.App, s []recipe.Seat) []recipe.Seat {
			a.Balancer.Method, s[2].Backend.DeploymentID = plane.IPHash, "dep_former"
			return s
		}},
		"balancer-off": {1, func(a *plane.App, s []recipe.Seat) []recipe.Seat {
			a.Balancer.Status, a.Balancer.Method, s[0].Backend.Enabled = plane.BalancerOff, plane.IPHash, false
			return s
		}},
		"primary-off-another-live": {1, func(_ *plane.App, s []recipe.Seat) []recipe.Seat { s[0].Backend.Enabled = false; return s }},
	} {
		t.Run(name, func(t *testing.T) {
			a, all := app(), []recipe.Seat{seat(1), seat(2), seat(3)}
			seats := scene.arrange(&a, all)
			here := all[scene.on-1]
			change, err := recipe.Tree(here.Server, []recipe.Presence{{App: a, Here: here.Backend, Seats: seats}})
			if err != nil {
				t.Fatal(err)
			}
			if change.Generation != here.Server.TreeWanted || !change.Announce || change.Version == "" {
				t.Errorf("generation %d, announce %v, version %q", change.Generation, change.Announce, change.Version)
			}
			text, paths := "", []string{}
			for _, f := range change.Files {
				paths = append(paths, f.Path)
				if f.Path == "conf.d/sp-web.conf" {
					text = skeleton(f.Text)
				}
			}
			golden(t, "tree-"+name+".txt", strings.Join(paths, "\n")+"\n\n"+text)
		})
	}
}

func off(m plane.Method) func(*plane.App, []recipe.Seat) []recipe.Seat {
	return func(a *plane.App, s []recipe.Seat) []recipe.Seat {
		a.Balancer.Method = m
		s[1].Backend.Enabled = false
		return s
	}
}

// skeleton keeps the lines that a recipe's values decide.
func skeleton(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "upstream", "server", "listen", "server_name", "set_real_ip_from", "ip_hash;", "least_conn;", "allow":
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestTreeRefusesAnUpstreamNobodyIsIn(t *testing.T) {
	s := seat(1)
	s.Backend.Enabled = false
	if _, err := recipe.Tree(s.Server, []recipe.Presence{{App: app(), Here: s.Backend, Seats: []recipe.Seat{s}}}); err == nil {
		t.Error("rendered")
	}
}

func TestTreeOfNothing(t *testing.T) {
	change, err := recipe.Tree(server(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change.Files {
		if strings.Contains(f.Path, "sp-") {
			t.Errorf("there is %s", f.Path)
		}
	}
}

// TestPrepare holds every file of a slot, with owner and mode, as text.
func TestPrepare(t *testing.T) {
	values := map[string]string{"APP_KEY": "it's \"$secret\"\nline two", "PLAIN": "x"}
	play, err := recipe.Prepare(preparation(values, seat(1), seat(2)))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "prepare-play.txt", describe(t, play))
	for _, f := range play.Files {
		if strings.HasPrefix(f.Name, "slot-") {
			golden(t, "prepare-"+f.Name+".txt", listing(t, f.Content))
		}
	}
}

// TestWaysToStartASlot: what must never run twice is always started instead of the other slot.
func TestWaysToStartASlot(t *testing.T) {
	for _, c := range []struct {
		start           recipe.Start
		way             string
		starts, instead bool
	}{
		{recipe.StartBeside, plane.SwitchBeside, true, false},
		{recipe.StartInstead, plane.SwitchBeside, true, true},
		{recipe.StartNot, plane.SwitchBeside, false, false},
		{recipe.StartBeside, plane.SwitchRestart, true, true},
	} {
		p := preparation(nil, seat(1))
		p.Start, p.Plan.Spec.Options = c.start, map[string]string{plane.OptionSwitch: c.way}
		play, err := recipe.Prepare(p)
		if err != nil || play.Vars["starts"] != c.starts || play.Vars["instead"] != c.instead {
			t.Errorf("%v, %s: starts %v, instead %v, %v", c.start, c.way, play.Vars["starts"], play.Vars["instead"], err)
		}
	}
}

// TestProcesses holds every file of an app's processes on a server, and the play.
func TestProcesses(t *testing.T) {
	a := app()
	a.Spec.Options = map[string]string{plane.OptionTimezone: "Europe/Berlin"}
	mail := plane.Process{Name: "mail", Kind: plane.Worker, Command: "node worker.js; echo \"$X\" 'ü' > /dev/null", On: plane.OnAll, Count: 2}.WithDefaults()
	tick := plane.Process{Name: "tick", Kind: plane.Cron, Command: "node tick.js", On: plane.OnOne, Schedule: "*/20 8-17 * * mon-fri"}.WithDefaults()
	play, err := recipe.Processes("run_aaaaaaaaaaaaaaaa", a, 7, []recipe.Bench{
		{Seat: seat(1), Plan: plan(), Processes: []plane.Process{mail, tick}}, {Seat: seat(2)},
	}, plane.Kinds{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "play-processes.txt", describe(t, play))
	golden(t, "processes-s1.tar.txt", listing(t, play.Files[0].Content))
	if text := listing(t, play.Files[1].Content); text != "" {
		t.Errorf("a server where nothing belongs gets %s", text)
	}
}

// The processes of an app whose slots are containers run in containers; who reads their scripts is root.
func TestProcessesOfContainers(t *testing.T) {
	a := app()
	a.Kind = plane.KindDocker
	mail := plane.Process{Name: "mail", Kind: plane.Worker, Command: "/app work", On: plane.OnAll, Count: 2}.WithDefaults()
	tick := plane.Process{Name: "tick", Kind: plane.Cron, Command: "node tick.js", On: plane.OnOne, Schedule: "*/20 8-17 * * mon-fri"}.WithDefaults()
	play, err := recipe.Processes("run_aaaaaaaaaaaaaaaa", a, 7, []recipe.Bench{{Seat: seat(1), Plan: plan(), Processes: []plane.Process{mail, tick}}}, plane.Kinds{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "processes-docker.tar.txt", listing(t, play.Files[0].Content))
}

// Whatever a person's command says, it is one quoted word of one script.
func TestProcessCommandsAreRefusedOrCarriedWhole(t *testing.T) {
	p := plane.Process{Name: "mail", Kind: plane.Worker, Command: "a\x00b", On: plane.OnAll}.WithDefaults()
	if err := recipe.CheckProcess(app(), server(1), p, plane.Kinds{}); plane.CodeOf(err) != plane.CodeInvalid {
		t.Errorf("%v", err)
	}
	p.Command = "echo hi"
	if err := recipe.CheckProcess(app(), server(1), p, plane.Kinds{}); err != nil {
		t.Error(err)
	}
}

func TestOtherPlays(t *testing.T) {
	foreign := server(3)
	foreign.Adopt, foreign.Survey = true, plane.Survey{SSHPort: 2222, Listening: []plane.Socket{
		{Proto: "tcp", Address: "0.0.0.0", Port: 22, Process: "sshd"}, {Proto: "tcp", Address: "::", Port: 8080, Process: "java"},
		{Proto: "udp", Address: "127.0.0.53", Port: 53}, {Proto: "udp", Address: "?", Port: 1}, {Proto: "udp", Address: "10.0.0.3", Port: 0},
	}}
	const run = "run_aaaaaaaaaaaaaaaa"
	for name, render := range map[string]func() (ansible.Play, error){
		"provision": func() (ansible.Play, error) { return recipe.Provision(run, "pnl_aaaaaaaaaaaaaaaa", foreign) },
		"run-once":  func() (ansible.Play, error) { return recipe.RunOnce(run, app(), plan(), seat(1)) },
		"retire": func() (ansible.Play, error) {
			return recipe.Retire(run, app(), plane.SlotB, []string{plan().ReleaseID}, []recipe.Seat{seat(1), seat(2)})
		},
		"remove": func() (ansible.Play, error) { return recipe.Remove(run, app(), false, []recipe.Seat{seat(1), seat(2)}) },
	} {
		play, err := render()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden(t, "play-"+name+".txt", describe(t, play))
	}
}

// describe tells a play without the contents of its files.
func describe(t *testing.T, p ansible.Play) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "%s for %s\nvars %s\n", p.Playbook, p.Run, indented(t, p.Vars))
	for _, h := range p.Hosts {
		fmt.Fprintf(&out, "host %s %s@%s:%d %s\nvars %s\n", h.Name, h.User, h.Address, h.Port, h.HostKey, indented(t, h.Vars))
	}
	for _, f := range p.Files {
		fmt.Fprintf(&out, "file %s\n", f.Name)
	}
	return out.String()
}

func indented(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// listing is a tar as text: owner, mode and path of each file, then its text.
func listing(t *testing.T, raw []byte) string {
	t.Helper()
	var out strings.Builder
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "-- %s %s:%s %04o %c --\n%s", h.Name, h.Uname, h.Gname, h.Mode, h.Typeflag, body)
	}
}
