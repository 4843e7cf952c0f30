package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// rule says what a room may import of ours, and why no more.
type rule struct {
	may string // rooms, "internal/" left out; client and playbooks are meant as they are
	why string
}

// house is the import table. A new room gets its line here first, on the
// lowest floor that will do.
var house = map[string]rule{
	"internal/plane":     {"", "the domain knows nobody: everybody may rely on it, it relies on none"},
	"internal/secret":    {"", "sealing bytes needs no idea of what they mean"},
	"internal/authority": {"", "making a certificate needs no idea of what it protects"},
	"internal/stream":    {"", "a hint carries a topic and nothing else"},
	"internal/config":    {"", "settings are read before anything else exists"},
	"internal/nginx":     {"", "values in, text out: its own rules must hold whatever the domain lets through"},
	"internal/files":     {"", "values in, text out: its own rules must hold whatever the domain lets through"},
	"internal/ansible":   {"", "it carries out a Play as plain data and decides nothing"},
	"internal/remote":    {"", "it carries out a Change as plain data and decides nothing"},
	"internal/mirror":    {"", "it keeps bare repositories and decides nothing"},
	"client":             {"", "other people's programs import it: nothing of ours may come along"},
	"playbooks":          {"", "it is a folder of files to embed"},
	"playbooks/guard":    {"", "it is tested as the program a server runs"},

	"internal/store":            {"plane", "rows become nouns of the domain and nothing more"},
	"internal/auth":             {"plane", "who may do what depends on roles alone"},
	"internal/probe":            {"plane remote", "one question from another place, judged by the domain"},
	"internal/recipe":           {"plane nginx files ansible remote probe", "it is pure: of ansible, remote and probe it needs the data types only"},
	"internal/survey":           {"plane remote", "it looks at servers and must not be able to store or change"},
	"internal/tail":             {"plane files recipe remote", "it reads servers' logs and must not be able to store or change"},
	"internal/store/storetest":  {"plane store", "one suite for both databases"},
	"internal/store/migrations": {"", "it is a folder of files to embed"},

	"internal/control": {"plane store auth secret stream recipe", "a verb writes intent; if it could reach a server, a page would wait for one"},
	"internal/runner":  {"plane store secret stream recipe ansible remote mirror probe files authority", "it works for rows of the store, never for a door: nothing below calls upward"},
	"internal/health":  {"plane store stream probe recipe remote", "it watches and records; acting on what it sees is a Run"},
	"internal/traffic": {"plane store stream recipe remote", "it reads and counts; it must not be able to steer what it counts"},

	"internal/web/reply":   {"plane", "one place turns the domain's errors into answers"},
	"internal/web/api":     {"plane control client auth web/reply", "a door decodes and calls a verb; the permissions of its routes are auth's"},
	"internal/web/ui":      {"plane control auth dotenv web/reply", "a door decodes and calls a verb; it must not share wire types with the API"},
	"internal/web/hook":    {"plane control client web/reply", "a door decodes and calls a verb"},
	"internal/web":         {"plane auth config web/api web/ui web/hook web/reply", "it puts the doors side by side"},
	"internal/web/webtest": {"plane control", "a panel that records what the doors asked of it"},

	"internal/app": {"plane secret stream config ansible files remote mirror store auth probe recipe survey tail control runner health traffic web playbooks",
		"the one place that wires all rooms; a command line inside it would close the circle"},
	"internal/cli":    {"app config client plane dotenv", "a command speaks the API like any other program; only serve and admin open the panel itself"},
	"internal/dotenv": {"", "it reads a text format"},
	"internal/arch":   {"", "it reads the source of all others"},
	"cmd/serverplane": {"cli", "main cannot be wrong"},
}

func rooms(names string) []string {
	var all []string
	for name := range strings.FieldsSeq(names) {
		if name != "client" && name != "playbooks" {
			name = "internal/" + name
		}
		all = append(all, name)
	}
	return all
}

func importsFollowTheTable(t *testing.T, _ *token.FileSet, all []source) {
	for _, s := range all {
		if s.room == "e2e" || strings.HasPrefix(s.room, "e2e/") {
			continue // has a test of its own
		}
		line, known := house[s.room]
		if !known {
			t.Errorf("%s: the package %s has no line in the table of this test: decide what it may import, and why no more", s.path, s.room)
			continue
		}
		if s.test {
			continue // a test may bring the rooms it needs to try its own
		}
		for _, name := range s.imports() {
			ours, is := strings.CutPrefix(name, "/")
			if is && !slices.Contains(rooms(line.may), ours) {
				t.Errorf("%s imports %s: %s; it may import %q", s.path, ours, line.why, line.may)
			}
		}
	}
}

// TestTableHasNoCircle keeps the arrows pointing one way even where a line of
// the table is not used yet.
func TestTableHasNoCircle(t *testing.T) {
	var walk func(room string, behind []string)
	walk = func(room string, behind []string) {
		if slices.Contains(behind, room) {
			t.Fatalf("the table goes in a circle: %s -> %s", strings.Join(behind, " -> "), room)
		}
		for _, next := range rooms(house[room].may) {
			if _, known := house[next]; !known {
				t.Fatalf("%s may import %s, which has no line of its own", room, next)
			}
			walk(next, append(slices.Clone(behind), room))
		}
	}
	for room := range house {
		walk(room, nil)
	}
}

func helpersOfTestsStayInTests(t *testing.T, _ *token.FileSet, all []source) {
	for _, s := range all {
		for _, name := range s.imports() {
			if strings.HasSuffix(name, "/storetest") || strings.HasSuffix(name, "/webtest") {
				if !s.test {
					t.Errorf("%s imports %s: what is made for tests is not checked like the product", s.path, name)
				}
			}
		}
	}
}

func storiesKnowOnlyWhatAPersonKnows(t *testing.T, _ *token.FileSet, all []source) {
	for _, s := range all {
		if s.room == "e2e/bench" || s.room == "e2e/still" || s.room != "e2e" && !strings.HasPrefix(s.room, "e2e/") {
			continue // bench and still are no stories: one measures single rooms, the other sets a scene that nobody acted
		}
		for _, name := range s.imports() {
			if strings.HasPrefix(name, "/internal/") {
				t.Errorf("%s imports %s: a story that looks inside the panel proves nothing about what a person gets", s.path, name)
			}
		}
	}
}

func clientIsStandardLibraryOnly(t *testing.T, _ *token.FileSet, all []source) {
	for _, s := range all {
		for _, name := range s.imports() {
			first, _, _ := strings.Cut(name, "/")
			if s.room == "client" && !s.test && strings.Contains(first, ".") {
				t.Errorf("%s imports %s: who imports the client must not inherit our dependencies", s.path, name)
			}
		}
	}
}

// pureRooms: these rooms decide from values alone, which is what makes
// their golden files mean something and lets a verb try them dry.
func pureRooms(t *testing.T, _ *token.FileSet, all []source) {
	pure := []string{"internal/plane", "internal/nginx", "internal/files", "internal/recipe"}
	outside := []string{"os", "os/exec", "net", "net/http", "database/sql", "syscall", "log", "log/slog", "math/rand", "math/rand/v2"}
	for _, s := range all {
		if s.test || !slices.Contains(pure, s.room) {
			continue
		}
		for _, name := range s.imports() {
			if slices.Contains(outside, name) {
				t.Errorf("%s imports %s: this room turns values into values and touches nothing", s.path, name)
			}
		}
	}
}

// recipeUsesDataTypesOnly: with a Pool or a Runner in hand a recipe would
// act instead of say.
func recipeUsesDataTypesOnly(t *testing.T, set *token.FileSet, all []source) {
	data := map[string][]string{
		"ansible": {"Play", "Host", "File"}, "remote": {"Change", "File", "Target", "Command"}, "probe": {"Question"},
	}
	for _, s := range all {
		if s.test || s.room != "internal/recipe" {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			used, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := used.X.(*ast.Ident)
			if allowed, held := data[nameOf(from, ok)]; held && !slices.Contains(allowed, used.Sel.Name) {
				t.Errorf("%s uses %s.%s: of that room a recipe may use %v", s.at(set, n), from.Name, used.Sel.Name, allowed)
			}
			return true
		})
	}
}

func nameOf(i *ast.Ident, ok bool) string {
	if !ok {
		return ""
	}
	return i.Name
}
