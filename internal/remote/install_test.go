package remote

import (
	"context"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const secretText = "it's a $ecret, \"really\""

// passwords is an sshd that asks for a password; by keyboard-interactive it could only with PAM.
var passwords = []string{"PasswordAuthentication yes"}

// forgetInstall makes the private machine what it was before Install.
func forgetInstall(t *testing.T) {
	t.Cleanup(func() {
		command(t, "", "userdel", "--force", "--remove", "serverplane")
		must(t, os.RemoveAll("/etc/sudoers.d/serverplane"))
	})
}

func panelLine(signer ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(signer.PublicKey())) }

// wantLetIn proves that panel now reaches root through the user serverplane.
func wantLetIn(t *testing.T, s *server, panel ssh.Signer) {
	t.Helper()
	target := s.Target
	target.User = "serverplane"
	p := runPool(t, panel)
	r, err := p.Exec(within(t, patient), target, Command{Args: []string{"sh", "-c", `id -u; echo $SUDO_USER; getent passwd serverplane | cut -d: -f6-`}, Sudo: true})
	if err != nil || string(r.Stdout) != "0\nserverplane\n/home/serverplane:/bin/bash\n" {
		t.Errorf("got %q %q %v", r.Stdout, r.Stderr, err)
	}
}

func TestInstallByPasswordAndSudo(t *testing.T) {
	s := newServer(t, newSigner(t), passwords...)
	newAccount(t, "alice", secretText)
	must(t, os.WriteFile("/etc/sudoers.d/alice", []byte("alice ALL=(ALL:ALL) ALL\n"), 0o440))
	forgetInstall(t)
	panel, second := newSigner(t), newSigner(t)
	contact := FirstContact{Target: s.Target, Password: secretText}
	contact.User = "alice"
	ctx := within(t, patient)
	for _, key := range []string{panelLine(panel), panelLine(panel), panelLine(second)} {
		must(t, Install(ctx, contact, key))
	}
	keys, err := os.ReadFile("/home/serverplane/.ssh/authorized_keys")
	must(t, err)
	if n := strings.Count(string(keys), "\n"); n != 2 {
		t.Errorf("%d keys after two panels, one of them twice:\n%s", n, keys)
	}
	rule, err := os.Stat("/etc/sudoers.d/serverplane")
	must(t, err)
	if left, _ := os.ReadDir("/etc/sudoers.d"); rule.Mode().Perm() != 0o440 || len(left) > 3 {
		t.Errorf("sudoers.d: mode %v, entries %v", rule.Mode(), left)
	}
	wantLetIn(t, s, panel)
}

func TestInstallByKeyAsRoot(t *testing.T) {
	way := ed25519Key(t)
	signer, err := ssh.NewSignerFromKey(way)
	must(t, err)
	s := newServer(t, signer)
	forgetInstall(t)
	panel := newSigner(t)
	key, _ := newKey(t, way)
	must(t, Install(within(t, patient), FirstContact{Target: s.Target, Key: []byte(key)}, panelLine(panel)))
	wantLetIn(t, s, panel)
}

func TestInstallRefused(t *testing.T) {
	s := newServer(t, newSigner(t), passwords...)
	newAccount(t, "bob", secretText)
	ctx := within(t, patient)
	contact := FirstContact{Target: s.Target, Password: secretText}
	contact.User = "bob"
	panel := panelLine(newSigner(t))
	cases := map[string]struct {
		change func(*FirstContact)
		kind   Kind
		text   string
	}{
		"no sudo rights":      {func(*FirstContact) {}, KindSudo, "sudoers"},
		"wrong password":      {func(c *FirstContact) { c.Password = "wrong" }, KindAuth, "signing in as bob"},
		"wrong sudo password": {func(c *FirstContact) { c.SudoPassword = "wrong" }, KindSudo, "sudo as bob"},
		"no way in":           {func(c *FirstContact) { c.Password = "" }, KindAuth, "neither"},
		"not a key":           {func(c *FirstContact) { c.Key = []byte("x") }, KindAuth, "reading the given key"},
		"changed host":        {func(c *FirstContact) { _, c.HostKey = newKey(t, ed25519Key(t)) }, KindHostKey, "changed"},
		"nobody there":        {func(c *FirstContact) { c.Port = 9 }, KindUnreachable, "refused"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			contact := contact
			c.change(&contact)
			err := Install(ctx, contact, panel)
			wantKind(t, err, c.kind, c.text)
			if err != nil && strings.Contains(err.Error(), "ecret") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
	if _, err := os.Stat("/etc/sudoers.d/serverplane"); err == nil {
		t.Error("something was installed all the same")
	}
	if err := Install(ctx, contact, panel+panel); err == nil {
		t.Error("two lines were taken for one key")
	}
}

func TestInstallKeepsSecretsOutOfCommands(t *testing.T) {
	c := FirstContact{Target: Target{User: "alice"}, Password: secretText, SudoPassword: "sudo " + secretText}
	if line := c.command("ssh-ed25519 AAAA"); strings.Contains(line, "ecret") || !strings.Contains(line, "'-S'") {
		t.Errorf("command: %.80s", line)
	}
}

func TestInstallEndsWithItsContext(t *testing.T) {
	s := newServer(t, newSigner(t), passwords...)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Install(ctx, FirstContact{Target: s.Target, Password: "x"}, panelLine(newSigner(t)))
	wantKind(t, err, KindUnreachable, "canceled")
}
