package remote

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

// server is a real sshd on an address of its own.
type server struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	Target // signs in as root
}

// patient is how long a test waits for what must happen, on a machine that has other things to do.
const patient = 60 * time.Second

var lastAddress = 9 // of 127.0.0.x; the tests of this package run one after the other

// newServer starts sshd on port 22 of the next loopback address, with panel's key let in as root and further configuration.
func newServer(t *testing.T, panel ssh.Signer, config ...string) *server {
	t.Helper()
	lastAddress++
	return newServerAt(t, fmt.Sprintf("127.0.0.%d", lastAddress), panel, config...)
}

func newServerAt(t *testing.T, address string, panel ssh.Signer, config ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir()}
	key, line := newKey(t, ed25519Key(t))
	s.file("host", key)
	s.file("authorized", string(ssh.MarshalAuthorizedKey(panel.PublicKey())))
	s.Target = Target{ID: "srv_" + address, Address: address, User: "root", HostKey: line}
	s.file("sshd_config", strings.Join(append(config, // the first value of a keyword counts
		"ListenAddress "+address, "HostKey "+s.path("host"), "UsePAM no", "PidFile none", "StrictModes no",
		"PermitRootLogin yes", "PasswordAuthentication no", "LogLevel FATAL",
		"AuthorizedKeysFile .ssh/authorized_keys "+s.path("authorized")), "\n")+"\n")
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) file(name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), []byte(text), 0o600))
}

func (s *server) start(wrap ...string) {
	s.t.Helper()
	must(s.t, os.Chmod(filepath.Dir(s.dir), 0o755)) // sshd reads the keys as the user who signs in
	must(s.t, os.Chmod(s.dir, 0o755))
	must(s.t, os.Chmod(s.path("authorized"), 0o644))
	args := append(wrap, "/usr/sbin/sshd", "-D", "-e", "-f", s.path("sshd_config"))
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stderr = os.Stderr
	must(s.t, s.cmd.Start())
	eventually(s.t, "sshd answering", func() bool {
		conn, err := net.Dial("tcp", s.hostPort())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// kill ends sshd with all its connections.
func (s *server) kill() {
	for _, pid := range family(s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.cmd.Wait()
}

func (s *server) signal(sig syscall.Signal) {
	for _, pid := range family(s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, sig)
	}
}

// newAccount makes a user of the private machine; without a password it can only be entered by key.
func newAccount(t *testing.T, name, password string) {
	t.Helper()
	command(t, "", "useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", name)
	if password != "" {
		command(t, name+":"+password+"\n", "chpasswd")
	}
	t.Cleanup(func() { command(t, "", "userdel", "--force", "--remove", name) })
}

func command(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "userdel" { // complains about a missing mail box
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// family is a process and its descendants.
func family(pid int) []int {
	all := []int{pid}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		id, _ := strconv.Atoi(child)
		all = append(all, family(id)...)
	}
	return all
}

func ed25519Key(t *testing.T) crypto.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func rsaKey(t *testing.T) crypto.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return key
}

// newKey gives a private key's file and its public line.
func newKey(t *testing.T, key crypto.PrivateKey) (file, line string) {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519Key(t))
	must(t, err)
	return signer
}

// runPool gives a running pool that leaves nothing behind when the test ends.
func runPool(t *testing.T, signer ssh.Signer) *Pool {
	t.Helper()
	return runPoolEvery(t, keepAliveEvery, signer)
}

// runPoolEvery is runPool with another time that a server may stay silent: a busy sshd must not be taken for a dead one.
func runPoolEvery(t *testing.T, every time.Duration, signer ssh.Signer) *Pool {
	t.Helper()
	before := goleak.IgnoreCurrent()
	p := NewPool(signer, slog.New(slog.DiscardHandler))
	p.every = every
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "Run's end", end); err != nil {
			t.Errorf("Run ended with %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return p
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patient)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for: %s", patient, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// receive gives what comes, or is closed, next.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patient):
		t.Fatalf("waited %v for: %s", patient, what)
		panic("unreachable")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind Kind, texts ...string) {
	t.Helper()
	if KindOf(err) != kind {
		t.Errorf("want kind %q, got %q: %v", kind, KindOf(err), err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}
