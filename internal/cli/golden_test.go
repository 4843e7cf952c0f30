package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/cli"
	"github.com/serverplane/serverplane/internal/config"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

// Each file of testdata is one command: what the panel is like and what is
// typed at the top, then stdin, and what must come out. UPDATE_GOLDEN=1 writes
// stdout, stderr and the exit code anew: read the difference.
//
//	$ serverplane lb enable web      the words, 'quoted' where they hold blanks
//	terminal                         a person is there
//	as viewer                        instead of owner
//	say output s1 some text          a line of run_1's log
//	run failed why                   run_1 has ended
//	figures stale why                of who served what
//	refuse AddServer conflict text | hint
//	exit 2                           instead of 0
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	top, parts := readParts(t, path)
	panel := webtest.New()
	s := story{t: t, panel: panel, role: plane.RoleOwner, code: 0}
	for line := range strings.Lines(top) {
		s.line(strings.TrimSuffix(line, "\n"))
	}
	s.stdin = parts["stdin"]
	want := maps.Clone(parts)
	delete(want, "stdin")
	want["exit"] = strconv.Itoa(s.code)
	out, errs, code := s.play(context.Background())
	got := map[string]string{"exit": strconv.Itoa(code), "stdout": out, "stderr": errs}
	for name, text := range got {
		if text == "" {
			delete(got, name)
		}
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		update(t, path, top, parts["stdin"], got)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// readParts splits a file at lines of the form "-- name --".
func readParts(t *testing.T, path string) (top string, parts map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts = map[string]string{}
	name := ""
	for line := range strings.Lines(string(raw)) {
		if head, ok := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- "); ok && strings.HasSuffix(line, " --\n") {
			name = head
			continue
		}
		parts[name] += line
	}
	top = parts[""]
	delete(parts, "")
	return top, parts
}

func update(t *testing.T, path, top, stdin string, got map[string]string) {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(top) {
		if !strings.HasPrefix(line, "exit ") {
			out.WriteString(line)
		}
	}
	if got["exit"] != "0" {
		fmt.Fprintf(&out, "exit %s\n", got["exit"])
	}
	got["stdin"] = stdin
	for _, name := range []string{"stdin", "stdout", "stderr"} {
		if got[name] != "" {
			fmt.Fprintf(&out, "-- %s --\n%s", name, got[name])
		}
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

type story struct {
	t        *testing.T
	panel    *webtest.Panel
	role     plane.Role
	args     []string
	stdin    string
	terminal bool
	code     int
}

func (s *story) line(line string) {
	s.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
	case "$":
		s.args = words(rest)[1:]
	case "terminal":
		s.terminal = true
	case "as":
		s.role = plane.Role(rest)
	case "say":
		part := strings.SplitN(rest, " ", 3)
		s.panel.Say(plane.EventKind(part[0]), part[1], part[2])
	case "run":
		state, why, _ := strings.Cut(rest, " ")
		s.panel.End(plane.RunState(state), why)
	case "figures":
		state, why, _ := strings.Cut(rest, " ")
		v := webtest.ServedBy()
		v.State, v.Reason = control.ServedState(state), why
		if v.Gap, v.GapAt = "3 MB of the log were left out to catch up", webtest.At(); v.State == control.ServedUnknown {
			v = control.ServedView{App: v.App, State: v.State, Reason: v.Reason}
		}
		s.panel.Serve(v)
	case "refuse":
		part := strings.SplitN(rest, " ", 3)
		text, hint, _ := strings.Cut(part[2], " | ")
		s.panel.Fail(part[0], &plane.Error{Code: plane.Code(part[1]), Message: text, Hint: hint})
	case "exit":
		s.code, _ = strconv.Atoi(rest)
	default:
		s.t.Fatalf("unknown line %q", line)
	}
}

// words splits at blanks outside of 'quotes'.
func words(text string) []string {
	var out []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range text + " " {
		switch {
		case r == '\'':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if any {
				out = append(out, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteRune(r)
			any = true
		}
	}
	return out
}

// play runs the command against a real server of the API.
func (s *story) play(ctx context.Context) (out, errs string, code int) {
	s.t.Helper()
	srv := httptest.NewServer(web.New(web.Config{Control: s.panel, Log: slog.New(slog.DiscardHandler), Version: "test"}).Handler())
	defer srv.Close()
	s.t.Setenv("XDG_CONFIG_HOME", s.t.TempDir())
	s.t.Setenv("SERVERPLANE_URL", srv.URL)
	s.t.Setenv("SERVERPLANE_TOKEN", webtest.Token(s.role))
	var stdout, stderr bytes.Buffer
	code = cli.Execute(ctx, s.args, cli.Streams{
		In: strings.NewReader(s.stdin), Out: &stdout, Err: &stderr, IsTerminal: s.terminal,
	}, fakeApp{})
	hide := strings.NewReplacer(srv.URL, "http://PANEL", strings.TrimPrefix(srv.URL, "http://"), "PANEL")
	ids := regexp.MustCompile(`req_[a-z2-7]{16}`)
	clean := func(text string) string { return ids.ReplaceAllString(hide.Replace(text), "req_ID") }
	return clean(stdout.String()), clean(stderr.String()), code
}

// fakeApp says what it was asked for.
type fakeApp struct{}

func (fakeApp) Serve(_ context.Context, c config.Config) error { return fmt.Errorf("serves %+v", c) }
func (fakeApp) Admin(_ context.Context, c config.Config) (cli.Admin, error) {
	return fakeAdmin{c}, nil
}

type fakeAdmin struct{ c config.Config }

func (a fakeAdmin) CreateUser(_ context.Context, email, role, password string) error {
	return fmt.Errorf("creates %s %s %q in %s", email, role, password, a.c.DataDir)
}

func (fakeAdmin) CreateToken(_ context.Context, email, name string) (string, error) {
	return "spt_of_" + email + "_" + name, nil
}

func (fakeAdmin) Close() error { return nil }
