package survey

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

func python(t *testing.T, args ...string) ([]byte, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "python3", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("python3 (make setup installs it): %v\n%s", err, stderr.String())
	}
	return stdout.Bytes(), stderr.String()
}

func TestLookReadsOtherProgramsWell(t *testing.T) { python(t, "testdata/look_test.py", "look.py") }

func TestLookChangesNothing(t *testing.T) { python(t, "testdata/watched.py", "look.py") }

// TestLookAtThisMachine runs the very command line a server gets.
func TestLookAtThisMachine(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	begin := time.Now()
	args := program()
	out, _ := python(t, args[1:]...)
	got, err := New(nil, nil, "", "serverplane", time.Now).read(begin, remote.Result{Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	if got.OS == "" || got.OSFamily == "" || got.Arch == "" || got.Cores < 1 || got.MemoryMiB < 1 || got.DiskFreeMiB < 1 || got.SSHPort < 1 || got.Firewall == "" {
		t.Errorf("something is missing: %+v", got)
	}
	if took := time.Since(begin); got.ClockOffset.Abs() > took {
		t.Errorf("the clock of this machine is off from itself by %s in %s", got.ClockOffset, took)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if !slices.ContainsFunc(got.Listening, func(s plane.Socket) bool {
		return s.Proto == "tcp" && s.Address == "127.0.0.1" && s.Port == port && s.Process != "" && !s.Outside()
	}) {
		t.Errorf("our own listener on port %d is not among %+v", port, got.Listening)
	}
}

func TestReadTakesTheMiddleOfTheCall(t *testing.T) {
	begin := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	s := New(nil, nil, "", "serverplane", func() time.Time { return begin.Add(4 * time.Second) })
	got, err := s.read(begin, remote.Result{Stdout: []byte(`{"clock": 1782907212.5, "os": "x", "listening": [{"proto":"tcp","address":"::","port":80,"process":"a"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := plane.Survey{
		TakenAt: begin.Add(4 * time.Second), OS: "x", ClockOffset: plane.Duration(10500 * time.Millisecond),
		Listening: []plane.Socket{{Proto: "tcp", Address: "::", Port: 80, Process: "a"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadSaysWhyThereIsNoReport(t *testing.T) {
	s := New(nil, nil, "", "serverplane", time.Now)
	for told, res := range map[string]remote.Result{
		"no python3":      {Exit: 127, Stderr: []byte("sh: python3: not found\n")},
		"install iproute": {Exit: 1, Stderr: []byte("warning\nss does not work; install iproute2\n")},
	} {
		_, err := s.read(time.Now(), res)
		if err == nil || !strings.Contains(err.Error(), told) || plane.CodeOf(err) != plane.CodeUnavailable {
			t.Errorf("want %q, got %v", told, err)
		}
	}
	if _, err := s.read(time.Now(), remote.Result{Stdout: []byte("Welcome!")}); err == nil {
		t.Error("a greeting is taken for a report")
	}
}

func TestInWords(t *testing.T) {
	for kind, want := range map[remote.Kind]plane.Code{
		remote.KindUnreachable: plane.CodeUnavailable, remote.KindLost: plane.CodeUnavailable, remote.KindVantage: plane.CodeUnavailable,
		remote.KindHostKey: plane.CodeConflict, remote.KindAuth: plane.CodeConflict, remote.KindSudo: plane.CodeConflict, remote.KindTarget: plane.CodeInternal,
	} {
		err := inWords(&remote.Error{Kind: kind, Target: "s1", Op: "looking", Err: errors.New("said so")})
		if got := plane.CodeOf(err); got != want || !strings.Contains(err.Error(), "said so") {
			t.Errorf("%s: %s %v, want %s", kind, got, err, want)
		}
	}
}

// The field is one the person filled in, so that they know what to mend.
func TestARefusedWayInNamesWhatWasGiven(t *testing.T) {
	key, auth := []byte("own"), remote.KindAuth
	for name, c := range map[string]struct {
		kind  remote.Kind
		given plane.Entrance
		field string
		hint  string
	}{
		"a key":          {auth, plane.Entrance{Key: key}, "key", "authorized_keys of bob"},
		"a password":     {auth, plane.Entrance{Password: "x"}, "password", "with a password"},
		"both":           {auth, plane.Entrance{Key: key, Password: "x"}, "key", "neither key nor password"},
		"the panel's":    {auth, plane.Entrance{}, "user", "the panel's own key"},
		"a sudo's":       {remote.KindSudo, plane.Entrance{Key: key, SudoPassword: "x"}, "sudo_password", "bob types"},
		"no sudo rights": {remote.KindSudo, plane.Entrance{Password: "x"}, "sudo_password", "root"},
	} {
		c.given.User = "bob"
		err := entering(c.given, &remote.Error{Kind: c.kind, Target: "s1", Op: "signing in", Err: errors.New("said so")})
		var e *plane.Error
		if !errors.As(err, &e) || e.Code != plane.CodeInvalid || e.Field != c.field || !strings.Contains(e.Hint, c.hint) || !strings.Contains(e.Message, "said so") {
			t.Errorf("%s: got %v, want field %s and hint %q", name, err, c.field, c.hint)
		}
	}
	lost := entering(plane.Entrance{Key: key}, &remote.Error{Kind: remote.KindLost, Op: "looking", Err: errors.New("broken pipe")})
	if plane.CodeOf(lost) != plane.CodeUnavailable {
		t.Errorf("a lost connection is taken for a refused key: %v", lost)
	}
}

// A password or key of the person's own goes before the panel's key, which is
// the way in only where nothing else was given.
func TestContactUsesThePanelsKeyOnlyAlone(t *testing.T) {
	s := New(nil, []byte("panel"), "", "serverplane", time.Now)
	for want, e := range map[string]plane.Entrance{
		"panel": {}, "": {Password: "x"}, "own": {Key: []byte("own"), Password: "x"},
	} {
		if got := s.contact(e); string(got.Key) != want {
			t.Errorf("%+v: key %q", e, got.Key)
		}
	}
}
