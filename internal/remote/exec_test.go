package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

func TestExecGivesWhatTheCommandGave(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	ctx := within(t, patient)
	r, err := p.Exec(ctx, s.Target, Command{Args: []string{"sh", "-c", "cat; echo bad >&2; exit 3"}, Stdin: strings.NewReader("in\x00put")})
	if err != nil || r.Exit != 3 || string(r.Stdout) != "in\x00put" || string(r.Stderr) != "bad\n" || r.Truncated || r.Duration <= 0 {
		t.Errorf("got %+v %v", r, err)
	}
	if r, err = p.Exec(ctx, s.Target, Command{Args: []string{"cat"}}); err != nil || len(r.Stdout) != 0 {
		t.Errorf("no input: got %+v %v", r, err)
	}
	if r, err = p.Exec(ctx, s.Target, Command{Args: []string{"sh", "-c", "kill -9 $$"}}); err != nil || r.Exit != 128+9 {
		t.Errorf("killed: got %+v %v", r, err)
	}
	r, err = p.Exec(ctx, s.Target, Command{Args: []string{"head", "-c", "5000000", "/dev/zero"}})
	if err != nil || len(r.Stdout) != outputLimit || !r.Truncated {
		t.Errorf("long output: kept %d, truncated %v, %v", len(r.Stdout), r.Truncated, err)
	}
}

// What one server gives another one gets, however much it is, and neither is kept; what takes it may be slow.
func TestExecFromOneCommandIntoAnother(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	ctx := within(t, patient)
	out, in := io.Pipe()
	var sides errgroup.Group
	sides.Go(func() error {
		r, err := p.Exec(ctx, s.Target, Command{Args: []string{"head", "-c", "50000000", "/dev/zero"}, Out: in})
		if len(r.Stdout) > 0 {
			t.Errorf("%d bytes were kept", len(r.Stdout))
		}
		return errors.Join(err, in.Close())
	})
	r, err := p.Exec(ctx, s.Target, Command{Args: []string{"sh", "-c", "sleep 0.5; wc -c"}, Stdin: out})
	if err != nil || strings.TrimSpace(string(r.Stdout)) != "50000000" {
		t.Errorf("%s bytes arrived, %v", r.Stdout, err)
	}
	if err := sides.Wait(); err != nil {
		t.Error(err)
	}
}

// No argument, whatever is in it, reaches the program as anything but itself.
func TestExecQuotes(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	rapid.Check(t, func(r *rapid.T) {
		args := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune(`'"\$ *#{}`+"`\n\t!ä;&|<>()~a")), 0, 12, -1), 1, 6).Draw(r, "args")
		result, err := p.Exec(within(t, patient), s.Target, Command{Args: append([]string{"printf", `%s\0`}, args...)})
		if want := strings.Join(args, "\x00") + "\x00"; err != nil || string(result.Stdout) != want {
			r.Fatalf("got %q %v, want %q", result.Stdout, err, want)
		}
	})
}

func TestSudoOnlyWhereNeeded(t *testing.T) {
	c := Command{Args: []string{"id", "it's"}, Sudo: true}
	if got, want := c.line("serverplane"), `'sudo' '-n' '--' 'id' 'it'\''s'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := c.line("root"), `'id' 'it'\''s'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// MaxSessions is 10: without taking turns the later ones would be refused.
func TestExecManyAtOnce(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	ctx := within(t, patient)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			r, err := p.Exec(ctx, s.Target, Command{Args: []string{"echo", strconv.Itoa(i)}})
			if err != nil || string(r.Stdout) != fmt.Sprintln(i) {
				t.Errorf("%d: %q %v", i, r.Stdout, err)
			}
		})
	}
	all.Wait()
	if n := len(family(s.cmd.Process.Pid)); n > 4 {
		t.Errorf("%d sshd processes: more than one connection was used", n)
	}
}

// A server that allows fewer channels than we think is served over a second connection.
func TestExecBeyondMaxSessions(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer, "MaxSessions 1")
	p := runPool(t, signer)
	ctx, cancel := context.WithCancel(within(t, patient))
	defer cancel()
	up, end := make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := p.Stream(ctx, s.Target, Command{Args: []string{"sh", "-c", "echo up; exec sleep 60"}}, func(l string) { up <- l })
		end <- err
	}()
	receive(t, "the first command", up)
	if r, err := p.Exec(ctx, s.Target, Command{Args: []string{"echo", "second"}}); err != nil || string(r.Stdout) != "second\n" {
		t.Errorf("got %q %v", r.Stdout, err)
	}
	cancel()
	if err := receive(t, "the first command's end", end); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestExecCancelEndsTheCommand(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	newAccount(t, "cara", "") // sshd delivers no signals to root's commands
	s.User = "cara"
	p := runPool(t, signer)
	ctx, cancel := context.WithCancel(within(t, patient))
	pid := 0
	begun := time.Now()
	r, err := p.Stream(ctx, s.Target, Command{Args: []string{"sh", "-c", "echo $$; exec sleep 60"}}, func(line string) {
		pid, _ = strconv.Atoi(line)
		begun = time.Now()
		cancel()
	})
	if !errors.Is(err, context.Canceled) || time.Since(begun) > 10*time.Second { // of its 60 s
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	if string(r.Stdout) != fmt.Sprintln(pid) {
		t.Errorf("what was read is lost: %q", r.Stdout)
	}
	eventually(t, "the command's end", func() bool { return syscall.Kill(pid, 0) != nil })
}

func TestStreamHandsOnLines(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	var lines []string
	script := `printf 'one\r\ntwo\n'; head -c 70000 /dev/zero | tr '\0' x; printf '\nlast'`
	_, err := p.Stream(within(t, patient), s.Target, Command{Args: []string{"sh", "-c", script}},
		func(line string) { lines = append(lines, line) })
	must(t, err)
	var lengths []int
	for _, line := range lines {
		lengths = append(lengths, len(line))
	}
	if got := fmt.Sprint(lengths); got != fmt.Sprint([]int{3, 3, lineLimit, 70000 - lineLimit, 4}) {
		t.Errorf("lines of length %s", got)
	}
}

func TestSignInFailures(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	ctx := within(t, patient)
	id := Command{Args: []string{"id"}}
	pinned, err := s.pinned()
	must(t, err)

	_, other := newKey(t, ed25519Key(t))
	changed := s.Target
	changed.HostKey = other
	expected, err := changed.pinned()
	must(t, err)
	_, err = p.Exec(ctx, changed, id)
	wantKind(t, err, KindHostKey, fingerprint(pinned), fingerprint(expected))

	_, other = newKey(t, rsaKey(t))
	changed.HostKey = other
	_, err = p.Exec(ctx, changed, id)
	wantKind(t, err, KindHostKey, fingerprint(pinned))

	closed := s.Target
	closed.Port = 23
	_, err = p.Exec(ctx, closed, id)
	wantKind(t, err, KindUnreachable, "connection refused")

	if _, err = p.Exec(ctx, s.Target, id); err != nil {
		t.Errorf("the good way in: %v", err)
	}
}

func TestStrangersKeyIsRefused(t *testing.T) {
	s := newServer(t, newSigner(t))
	p := runPool(t, newSigner(t))
	_, err := p.Exec(within(t, patient), s.Target, Command{Args: []string{"id"}})
	wantKind(t, err, KindAuth, "root")
}

// An RSA key is pinned while the server has an ed25519 key too, which the handshake would choose by itself.
func TestPinnedKeyDecidesTheAlgorithm(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	key, line := newKey(t, rsaKey(t))
	s.file("host_rsa", key)
	config, err := os.ReadFile(s.path("sshd_config"))
	must(t, err)
	s.file("sshd_config", "HostKey "+s.path("host_rsa")+"\n"+string(config))
	s.kill()
	s.start()
	p := runPool(t, signer)
	ctx := within(t, patient)
	for _, pin := range []string{line, s.HostKey} {
		target := s.Target
		target.HostKey = pin
		if _, err := p.Exec(ctx, target, Command{Args: []string{"id"}}); err != nil {
			t.Errorf("pinned %.12s: %v", pin, err)
		}
	}
	seen, err := ScanHostKey(ctx, s.Address, 0)
	if err != nil || seen.Line != s.HostKey || seen.Type != "ssh-ed25519" || !strings.HasPrefix(seen.Fingerprint, "SHA256:") {
		t.Errorf("scanned %+v, %v", seen, err)
	}
	_, err = ScanHostKey(ctx, s.Address, 23)
	wantKind(t, err, KindUnreachable)
}
