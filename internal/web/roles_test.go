package web_test

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
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

// A route that is put beside the tables would be walked by nobody: these are
// the only places that make one.
func TestRoutesAreMadeInFivePlaces(t *testing.T) {
	want := []string{
		`api/register.go: huma.Register(a.huma, op,`,
		`server.go: mux.HandleFunc("/", s.nothing(mux))`,
		`server.go: mux.HandleFunc("GET /healthz", healthz)`,
		`ui/ui.go: mux.Handle(r.Method+" "+r.Pattern, u.guard(r))`,
		`ui/ui.go: mux.HandleFunc("GET /assets/{hash}/{path...}", u.asset)`,
	}
	making := regexp.MustCompile(`\w+\.(Handle|HandleFunc)\(.*|huma\.(Register|Get|Post|Put|Patch|Delete)\(\w+\.\w+, \w+,`)
	var got []string
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, made := range making.FindAllString(string(text), -1) {
			got = append(got, path+": "+made)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
