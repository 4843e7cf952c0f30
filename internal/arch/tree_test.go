package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/serverplane/serverplane"

// source is one Go file of the project, whatever its build constraints.
type source struct {
	path string // from the top of the project, with slashes
	room string // the folder it is in
	test bool
	tree *ast.File
}

func (s source) at(set *token.FileSet, node ast.Node) string {
	return s.path + ":" + strconv.Itoa(set.Position(node.Pos()).Line)
}

// imports lists what the file imports; ours without the module's name, beginning with "/".
func (s source) imports() []string {
	var all []string
	for _, i := range s.tree.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		if rest, ours := strings.CutPrefix(name, module); ours {
			name = "/" + strings.TrimPrefix(rest, "/")
		}
		all = append(all, name)
	}
	return all
}

// sources reads every Go file below the top of the project.
func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	top := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(top, "go.mod")); err != nil {
		t.Fatalf("the top of the project is not where this test looks for it: %v", err)
	}
	set, all := token.NewFileSet(), []source(nil)
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != top && ignored(d.Name()) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		tree, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		rel = filepath.ToSlash(rel)
		all = append(all, source{path: rel, room: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), tree: tree})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files were found", len(all))
	}
	return set, all
}

// ignored names the folders the go command leaves out too, and what is not ours.
func ignored(name string) bool {
	return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "node_modules", "vendor", "examples"}, name)
}

// TestHouse holds every rule against every file.
func TestHouse(t *testing.T) {
	set, all := sources(t)
	for name, rule := range map[string]func(*testing.T, *token.FileSet, []source){
		"imports follow the table":         importsFollowTheTable,
		"helpers of tests stay in tests":   helpersOfTestsStayInTests,
		"stories know what a person knows": storiesKnowOnlyWhatAPersonKnows,
		"client is standard library only":  clientIsStandardLibraryOnly,
		"pure rooms touch nothing":         pureRooms,
		"recipe uses data types only":      recipeUsesDataTypesOnly,
		"no state of nobody":               noStateOfNobody,
		"no init":                          noInit,
		"only the command line speaks":     onlyTheCommandLineSpeaks,
		"main cannot be wrong":             mainCannotBeWrong,
		"every package says its duty":      everyPackageSaysItsDuty,
	} {
		t.Run(name, func(t *testing.T) { rule(t, set, all) })
	}
}
