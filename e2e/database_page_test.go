//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/serverplane/serverplane/client"
)

// createByHand makes blog's second database on the tab, and sees what it is told.
func createByHand(t *testing.T, w *world) {
	b := w.atDashboard(t, desktop)
	b.open("/apps/blog/database")
	b.fill("Name", "postgres")
	b.fill("Prefix of its variables", "other")
	b.click("Create database")
	b.sees("is a name of the engine's own", 10*time.Second)
	b.fill("Name", "other")
	b.click("Create database")
	b.sees("succeeded", 2*time.Minute)
	b.sees("a stranger is refused by database other", 10*time.Second)
	b.shot("database-created")
	b.open("/apps/blog/database")
	b.sees("OTHER_DB_HOST", 10*time.Second)
	b.sees("Another database", 10*time.Second)
	b.calm()
}

// keepByHand does on the tab what somebody does who takes care of a database while visitors are served: dumps it, is asked before it is brought
// back and before the password is changed, and changes it. Bringing back is for when nobody writes: here it is only asked for.
func keepByHand(t *testing.T, w *world) error {
	const tab = "/apps/shop/database"
	b := w.atDashboard(t, desktop)
	b.open(tab)
	for _, fact := range []string{"PostgreSQL 15", "127.0.0.1:5432", "MiB", "TLSv1.3", "Nobody else gets in", "100 %"} {
		b.sees(fact, 10*time.Second)
	}
	b.click("Back up now")
	b.sees("succeeded", time.Minute)
	b.open(tab)
	b.sees("/var/backups/serverplane/databases/shop-data/", 10*time.Second)
	b.fill("To confirm the restore, type shop-data", "shop")
	b.click("Restore")
	b.sees("Does not match", 10*time.Second)
	b.shot("database-tab")
	small := w.atDashboard(t, telephone)
	small.open(tab)
	small.sees("To confirm the restore", 10*time.Second)
	small.shot("database-tab")
	small.do(chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile))
	small.narrow("database-tab on the smallest telephone")
	small.fill("To confirm the change, type shop-data", "shop-data")
	small.click("Change password")
	small.sees("succeeded", 3*time.Minute)
	small.shot("database-password-changed")
	b.calm()
	small.calm()
	if runs, err := w.api.Runs(w.ctx, client.RunFilter{}); err != nil || hasKind(runs.Items, "database-restore") {
		return errors.Join(err, errors.New("a restore that was not consented to was begun"))
	}
	return nil
}

// restoreByHand brings the newest dump back, on a telephone and by a person's word: what is there then is what the list of dumps says.
func restoreByHand(t *testing.T, w *world) {
	all, err := w.api.Backups(w.ctx, "shop-data")
	must(t, err)
	kept := 0
	for _, n := range all.Items[0].Rows {
		kept += int(n)
	}
	b := w.atDashboard(t, telephone)
	b.open("/apps/shop/database")
	b.sees(fmt.Sprint(kept), 10*time.Second)
	b.fill("To confirm the restore, type shop-data", "shop-data")
	b.click("Restore")
	b.sees("succeeded", time.Minute)
	b.shot("database-restored")
	b.calm()
	until(t, 30*time.Second, "shop answers", func() (bool, string) {
		status, body, err := w.visitOf("shop", "GET", "/")
		return err == nil && status == 200, fmt.Sprint(status, err, string(body))
	})
	if now := w.rows(t, "shop"); now != kept {
		t.Errorf("shop has %d rows after the restore of a dump of %d", now, kept)
	}
}

func hasKind(runs []client.Run, kind string) bool {
	for _, r := range runs {
		if r.Kind == kind {
			return true
		}
	}
	return false
}
