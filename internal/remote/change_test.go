package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// site is a change whose version server answers what it should.
func site(generation int64, more ...File) Change {
	version := fmt.Sprintf("v%d", generation)
	text := "server { listen 127.0.0.1:20000; location / { return 200 \"" + version + "\"; } }\n"
	return Change{Generation: generation, Version: version, Files: append(more, File{Path: "conf.d/00-serverplane.conf", Text: text})}
}

// A provisioned server, as far as traffic changes need one.
func provisioned(t *testing.T) (*Pool, Target) {
	t.Helper()
	panel := newSigner(t)
	s := newServer(t, panel)
	newAccount(t, "serverplane", "")
	must(t, os.WriteFile("/etc/sudoers.d/serverplane", []byte("serverplane ALL=(ALL:ALL) NOPASSWD: ALL\n"), 0o440))
	t.Cleanup(func() { // the next test finds a machine that no panel has seen
		must(t, os.Remove("/etc/sudoers.d/serverplane"))
		for _, rest := range []string{"/var/lib/serverplane", "/etc/nginx/conf.d/00-serverplane.conf", "/etc/nginx/conf.d/sp-web.conf"} {
			must(t, os.RemoveAll(rest))
		}
	})
	s.User = "serverplane"
	return runPool(t, panel), s.Target
}

func installGuard(t *testing.T) {
	t.Helper()
	for place, source := range map[string]string{guardPath: "guard.py", switchPath: "switch.sh"} {
		program, err := os.ReadFile("../../playbooks/guard/" + source)
		must(t, err)
		must(t, os.WriteFile(place, program, 0o755))
		t.Cleanup(func() { must(t, os.Remove(place)) })
	}
}

func TestGuardedChange(t *testing.T) {
	p, target := provisioned(t)
	ctx := within(t, patient)
	_, err := p.Apply(ctx, target, site(1))
	if err == nil || !strings.Contains(err.Error(), "provision the server") {
		t.Fatalf("without the program: %v", err)
	}
	installGuard(t)
	want := func(result string, o Outcome, err error) {
		t.Helper()
		if err != nil || o.Result != result {
			t.Fatalf("want %s, got %+v %v", result, o, err)
		}
	}
	o, err := p.Apply(ctx, target, site(1))
	want(Applied, o, err)
	t.Logf("applied in %v", o.Took)
	o, err = p.Apply(ctx, target, site(1))
	want(Unchanged, o, err)
	o, err = p.Apply(ctx, target, site(2, File{Path: "conf.d/sp-web.conf", Text: "# ä\nnonsense;\n", Mode: 0o600}))
	want(Refused, o, err)
	if o.File != "/etc/nginx/conf.d/sp-web.conf" || o.Line != 2 || !o.Ours || o.Generation != 1 || o.Took <= 0 {
		t.Errorf("refused: %+v", o)
	}
	o, err = p.Apply(ctx, target, site(0))
	want(Superseded, o, err)
	o, err = p.TestNginx(ctx, target)
	want(Unchanged, o, err)
	for _, slot := range []string{"b", "a"} {
		o, err = p.Switch(ctx, target, "web", slot)
		want(Applied, o, err)
	}
	o, err = p.Switch(ctx, target, "web", "c")
	want(Refused, o, err)
	wantFinished(ctx, t, p, target)
}

// holdAnnouncement makes the guard announce until the test has seen it, however slow the machine is.
func holdAnnouncement(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile(guardPath)
	must(t, err)
	const pause = "time.sleep(ANNOUNCE_SECONDS)"
	if strings.Count(string(program), pause) != 1 {
		t.Fatalf("the guard has not one %q", pause)
	}
	patient := strings.Replace(string(program), pause, "any(os.path.exists('/run/go') or time.sleep(0.01) for _ in range(6000))", 1)
	must(t, os.WriteFile(guardPath, []byte(patient), 0o755))
}

// wantFinished closes the channel in the middle of an announced change, which then finishes by itself.
func wantFinished(ctx context.Context, t *testing.T, p *Pool, target Target) {
	t.Helper()
	page := File{Path: "conf.d/sp-web.conf", Text: "# web\n", Mode: 0o644}
	if o, err := p.Apply(ctx, target, site(3, page)); err != nil || o.Result != Applied {
		t.Fatalf("got %+v %v", o, err)
	}
	next := site(4, page)
	next.Announce = true
	holdAnnouncement(t)
	cut, cancel := context.WithCancel(ctx)
	end := make(chan error, 1)
	go func() {
		_, err := p.Apply(cut, target, next)
		end <- err
	}()
	eventually(t, "the announcement", func() bool {
		_, err := os.Stat("/var/lib/serverplane/live/web.b")
		return err == nil
	})
	cancel()
	if err := receive(t, "Apply's end", end); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	must(t, os.WriteFile("/run/go", nil, 0o644))
	defer func() { must(t, os.Remove("/run/go")) }()
	o, err := p.Apply(ctx, target, next)
	if err != nil || o.Result != Unchanged {
		t.Errorf("the change that was cut off did not finish: %+v %v", o, err)
	}
}

func TestChangeMustBeText(t *testing.T) {
	for _, f := range []File{{Path: "conf.d/x.conf", Text: "\xff"}, {Path: "conf.d/\xff"}} {
		if _, err := (Change{Files: []File{f}}).encode(); err == nil {
			t.Errorf("%q was taken", f)
		}
	}
}
