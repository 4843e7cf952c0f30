package web_test

import (
	"cmp"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/ui"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

var update = flag.Bool("update", false, "write golden files")

// Both doors, route by route, written out with who may go through: the walks
// hold that a route does what its permission says, this holds that it is the
// right permission. A route for more people than before is seen in the diff.
func TestWhoMayWhat(t *testing.T) {
	panel := webtest.New()
	s := web.New(web.Config{Control: panel, Pages: panel, Log: slog.New(slog.DiscardHandler)})
	var lines []string
	for _, r := range s.Routes() {
		lines = append(lines, fmt.Sprintf("%-6s %s: %s", r.Method, r.Path, who(r.Permission)))
	}
	for _, r := range s.Pages() {
		lines = append(lines, fmt.Sprintf("%-6s %s: %s", r.Method, r.Pattern, who(r.Permission)))
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Or(cmp.Compare(a[7:], b[7:]), cmp.Compare(a, b)) })
	const path = "testdata/roles.golden"
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("who may what is not what was decided (-want +got); -update writes it anew:\n%s", d)
	}
}

func who(p auth.Permission) string {
	if p == ui.Anyone {
		return "anyone"
	}
	var may []string
	for _, r := range []plane.Role{plane.RoleOwner, plane.RoleAdmin, plane.RoleViewer} {
		if auth.Allow(r, p) {
			may = append(may, string(r))
		}
	}
	return strings.Join(may, " ")
}
