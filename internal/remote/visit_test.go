package remote

import (
	"os"
	"testing"
)

func TestVisitLooksAsRootAndLeavesNothing(t *testing.T) {
	s := newServer(t, newSigner(t), passwords...)
	newAccount(t, "dora", secretText)
	contact := FirstContact{Target: s.Target, Password: secretText}
	contact.User = "dora"
	ctx := within(t, patient)
	look := []string{"sh", "-c", `id -u; printf '%s\n' "$1"; exit 4`, "sh", "it's $HOME"}
	_, err := Visit(ctx, contact, look)
	wantKind(t, err, KindSudo, "sudo as dora")
	must(t, os.WriteFile("/etc/sudoers.d/dora", []byte("dora ALL=(ALL:ALL) ALL\n"), 0o440))
	r, err := Visit(ctx, contact, look)
	if err != nil || string(r.Stdout) != "0\nit's $HOME\n" || r.Exit != 4 {
		t.Errorf("got %q %q %d %v", r.Stdout, r.Stderr, r.Exit, err)
	}
	must(t, os.Remove("/etc/sudoers.d/dora"))
	if _, err := os.Stat("/etc/sudoers.d/serverplane"); err == nil {
		t.Error("looking installed something")
	}
}
