package ansible

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	pick "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd is a real server on loopback with its own configuration, for root. It gives the session another
// home: what the machine's own root has in its shell start-up files may be slow, and is not to be tested.
type sshd struct {
	port    int
	hostKey string
	signer  ssh.Signer
	keys    string // path of the authorized keys
}

// authorize lets the present signer in, and nobody else.
func (s *sshd) authorize(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.keys, ssh.MarshalAuthorizedKey(s.signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startSSHD(t *testing.T) *sshd {
	t.Helper()
	binary, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Fatalf("sshd is missing: run `make setup`: %v", err)
	}
	dir := t.TempDir()
	s := &sshd{port: freePort(t), keys: filepath.Join(dir, "authorized")}
	s.signer, _ = newKey(t)
	host, hostText := newKey(t)
	s.hostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("config", fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\n"+
		"StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nSetEnv HOME=%s\n", s.port, write("host", hostText), s.keys, dir))
	s.authorize(t)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-D", "-e", "-f", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitForPort(t, s.port)
	return s
}

func (s *sshd) host(name string) Host {
	return Host{Name: name, Address: "127.0.0.1", Port: s.port, User: "root", HostKey: s.hostKey}
}

func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

// freePort is one that nobody is given who asks for any, so that it is still free when it is used.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		port := 10_000 + pick.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
}

func waitForPort(t *testing.T, port int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("sshd does not listen on port %d", port)
}
