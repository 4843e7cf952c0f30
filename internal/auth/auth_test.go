package auth

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// The whole table, written out: a new permission fails here until somebody has
// decided who holds it.
func TestRoles(t *testing.T) {
	may := map[Permission]string{
		PanelRead: "owner admin viewer", ServerRead: "owner admin viewer", AppRead: "owner admin viewer",
		VariableRead: "owner admin viewer", DeploymentRead: "owner admin viewer", BalancerRead: "owner admin viewer",
		RunRead: "owner admin viewer", LogRead: "owner admin", ServerWrite: "owner admin", AppWrite: "owner admin", VariableWrite: "owner admin",
		ProcessRead: "owner admin viewer", ProcessWrite: "owner admin",
		VariableReveal: "owner admin", DeploymentWrite: "owner admin", BalancerWrite: "owner admin",
		RunCancel: "owner admin", AuditRead: "owner admin", UserWrite: "owner", DatabaseRead: "owner admin viewer", DatabaseWrite: "owner admin",
	}
	for _, p := range Permissions() {
		if _, decided := may[p]; !decided {
			t.Errorf("nobody decided who holds %s", p)
		}
		for _, r := range []plane.Role{plane.RoleOwner, plane.RoleAdmin, plane.RoleViewer, "", "root"} {
			want := r != "" && strings.Contains(may[p], string(r))
			if got := Allow(r, p); got != want {
				t.Errorf("%q may %s: got %v, want %v", r, p, got, want)
			}
		}
	}
}

func TestUnknownPermissionIsDenied(t *testing.T) {
	for _, p := range []Permission{"", "server", "server.destroy"} {
		if Allow(plane.RoleOwner, p) {
			t.Errorf("owner may %q", p)
		}
	}
}

func TestPassword(t *testing.T) {
	hash, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\$argon2id\$v=19\$m=65536,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`).MatchString(hash) {
		t.Errorf("not PHC text: %s", hash)
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterY": false, "": false} {
		if got, err := VerifyPassword(hash, password); err != nil || got != want {
			t.Errorf("%q: got %v, %v", password, got, err)
		}
	}
	again, _ := HashPassword("correct horse battery")
	if again == hash {
		t.Error("the same salt twice")
	}
}

// Whatever a damaged row holds, it neither signs anybody in nor eats the machine.
func TestDamagedHashes(t *testing.T) {
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=19$m=64,t=99,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=19$m=64,t=1,p=0$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdA$c3Vtc3Vtc3Vtc3Vtc3Vt",
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$",
		"$argon2id$v=19$m=64,t=1,p=1$!$!",
	} {
		if ok, err := VerifyPassword(bad, "x"); ok || !errors.Is(err, ErrHash) {
			t.Errorf("%q: got %v, %v", bad, ok, err)
		}
	}
}

func TestToken(t *testing.T) {
	token, hash := NewToken()
	if !regexp.MustCompile(`^spt_[a-z2-7]{32}$`).MatchString(token) {
		t.Errorf("token %q", token)
	}
	if hash != HashToken(token) || len(hash) != 64 || strings.Contains(hash, token) {
		t.Errorf("hash %q", hash)
	}
	if other, _ := NewToken(); other == token {
		t.Error("the same token twice")
	}
}
