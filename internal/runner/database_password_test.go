package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TestFormerPasswordStays while anybody may still use it; a next one that was
// replaced since it was proven is given to nobody.
func TestFormerPasswordStays(t *testing.T) {
	b, d := parted(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	db := plane.Database{
		ID: "dbs_aaaaaaaaaaaaaaaa", Name: "shop", AppID: b.app.ID, ServerID: b.server.ID, Engine: plane.PostgreSQL, Password: []byte("one"), Pool: 1, Revision: 1,
		State: plane.DatabaseReady, Next: []byte("two"), CreatedAt: now, Since: now,
	}
	b.write(func(tx *store.Tx) error { return tx.CreateDatabase(b.ctx, db) })
	kept := func() (got plane.Database) {
		t.Helper()
		b.write(func(tx *store.Tx) (err error) { got, err = tx.Database(b.ctx, db.ID); return err })
		return got
	}
	replaced := db
	replaced.Next = []byte("an older one")
	if err := d.renew(b.ctx, replaced); err == nil || kept().Second {
		t.Errorf("%v, %+v", err, kept())
	}
	if err := d.renew(b.ctx, db); err != nil {
		t.Fatal(err)
	}
	if got := kept(); got.Login() != "sp2_shop" || string(got.Password) != "two" || string(got.Former) != "one" || got.Revision != 2 || got.PasswordAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := d.endPassword(b.ctx, kept()); err == nil || !strings.Contains(err.Error(), "s3 took no part") {
		t.Errorf("with a backend left out: %v", err)
	}
	d.out, d.stale = nil, true
	if err := d.endPassword(b.ctx, kept()); err == nil || !strings.Contains(err.Error(), "processes") {
		t.Errorf("with a process that runs as before: %v", err)
	}
	if got := kept(); string(got.Former) != "one" {
		t.Errorf("%+v", got)
	}
}

// TestReceiptOffersAnotherPassword: a backend that is gone for good may still know
// the password; its access goes all the same.
func TestReceiptOffersAnotherPassword(t *testing.T) {
	k := newKept(t, nil)
	k.write(func(tx *store.Tx) error {
		s, err := tx.Server(k.ctx, k.backends[1].ServerID)
		if err != nil {
			return err
		}
		s.SSHPort = 1 // nobody listens there
		return tx.UpdateServer(k.ctx, s)
	})
	k.begin()
	r, _ := k.ended(k.queueFor(plane.RunLeave, 1, "").ID)
	if !slices.ContainsFunc(r.Receipt, func(l plane.ReceiptLine) bool {
		return l.What == "access to database shop" && l.Done && strings.HasSuffix(l.Detail, "it may still know the password; db rotate-password shop")
	}) {
		t.Errorf("%s: %s; the receipt says %+v", r.State, r.Reason, r.Receipt)
	}
}

// TestAccessThatIsLeftStaysListed: with the primary away nothing can be taken from
// the engine; the receipt and the book say so.
func TestAccessThatIsLeftStaysListed(t *testing.T) {
	k := newKept(t, nil)
	k.failing(enginePlay, func(context.Context) error { return errors.New("s1 cannot be reached") })
	k.begin()
	r, _ := k.ended(k.queueFor(plane.RunLeave, 1, "").ID)
	var left []plane.Access
	k.write(func(tx *store.Tx) (err error) {
		left, err = tx.AccessOf(k.ctx, k.backends[1].ID)
		return err
	})
	listed := slices.ContainsFunc(r.Receipt, func(l plane.ReceiptLine) bool {
		return l.What == "access to database shop" && !l.Done && strings.Contains(l.Detail, "s1 cannot be reached")
	})
	if r.State != plane.RunFailed || !listed || len(left) != 1 || !k.balanced.now(1).Removing {
		t.Errorf("%s: %s; %d in the book; the receipt says %+v", r.State, r.Reason, len(left), r.Receipt)
	}
}
