//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/still"
)

// TestOtherSites: an owner who is signed in visits a page of somebody else's,
// which sends the panel's forms and frames its pages. Nothing is done, nothing
// is shown.
func TestOtherSites(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	p := stillPanel(t)
	must(t, p.Own(t.Context()))
	must(t, p.Fill(t.Context(), filled(), ""))
	b := browse(t, p.URL, desktop)
	b.open("/sign-in")
	b.signIn(still.Owner, still.Password)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>Prizes</title><body>
			<form method="post" action="%[1]s/apps/%[2]s/remove"><input type="hidden" name="confirm" value="%[2]s"><button>Win a prize</button></form>
			<form method="post" action="%[1]s/users"><input type="hidden" name="email" value="eve@example.com"><input type="hidden" name="role" value="owner">
				<input type="hidden" name="password" value="correct horse battery"><button>Win another</button></form>
			<iframe src="%[1]s/" width="900" height="600"></iframe></body>`, p.URL, still.Shop)
	}))
	defer evil.Close()
	before, err := p.Deeds(t.Context())
	must(t, err)
	for _, from := range []string{evil.URL, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)} { // the same site by another port, and another site
		for _, button := range []string{"Win a prize", "Win another"} {
			site := &browser{t: t, ctx: b.ctx, base: from, screen: b.screen}
			site.open("/")
			site.click(button)
			site.sees("This form was sent by another site's page", 30*time.Second)
		}
	}
	if after, err := p.Deeds(t.Context()); err != nil || after != before {
		t.Errorf("%d lines came into the audit log (%v)", after-before, err)
	}
	b.mu.Lock()
	framed := strings.Join(b.troubles, "\n")
	b.troubles = nil
	b.mu.Unlock()
	if !strings.Contains(framed, "frame-ancestors") {
		t.Errorf("the browser does not say that it refused to frame the panel: %s", framed)
	}
	b.open("/apps/" + still.Shop)
	b.sees("live", 30*time.Second)
	b.calm()
}
