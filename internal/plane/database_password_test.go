package plane_test

import (
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// TestRenewed: two changes of a password lead back to the first login, and what a
// process is given changes only when the new one is valid.
func TestRenewed(t *testing.T) {
	d := plane.Database{Name: "shop-data", Password: []byte("one"), Revision: 1}
	if d.Login() != "sp_shop_data" || d.OtherLogin() != "sp2_shop_data" || d.Role() != "sp_shop_data" || d.HasSecond() || d.Renewing() || d.PasswordChange() != "" {
		t.Fatalf("%+v", d)
	}
	d.Next = []byte("two")
	if d.Login() != "sp_shop_data" || string(d.Other()) != "two" || !d.HasSecond() || d.PasswordChange() != "next" {
		t.Errorf("a password that waits: %+v", d)
	}
	d = d.Renewed()
	if d.Login() != "sp2_shop_data" || d.Role() != "sp_shop_data" || string(d.Password) != "two" || string(d.Other()) != "one" || d.Revision != 2 || d.PasswordChange() != "former" {
		t.Errorf("renewed: %+v", d)
	}
	d.Former, d.PasswordAt, d.Next = nil, time.Now(), []byte("three")
	d = d.Renewed()
	if d.Login() != "sp_shop_data" || string(d.Password) != "three" || string(d.Former) != "two" || !d.HasSecond() {
		t.Errorf("renewed twice: %+v", d)
	}
	d.Former = nil
	if d.Renewing() || !d.HasSecond() {
		t.Errorf("at its end: %+v", d)
	}
}
