package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestStateIsRecognised holds what counts as state of nobody by example, since
// a rule that never refuses would look just as green.
func TestStateIsRecognised(t *testing.T) {
	const text = `package x
import ("errors"; "regexp"; "sync"; "embed"; "net/netip")
var errGone = errors.New("gone")
var pattern = regexp.MustCompile("a")
var table = map[string]bool{"a": true}
var list = []int{1}
var own = netip.MustParsePrefix("10.0.0.0/8")
//go:embed a
var files embed.FS
var _ interface{} = 1
var badLock sync.Mutex
var badCount int
var badCache = map[string]int{}
var badMade = make(map[string]int)
var badGrown = map[string]int{"a": 1}
var badLent = []int{1}
var badSwapped = []int{1}
var badDeleted = map[string]int{"a": 1}
var badNow = time.Now()
func f(list []int) {
	table := map[string]bool{}
	table["b"] = true
	list[0] = 2
	badGrown["b"]++
	use(&badLent)
	badSwapped = nil
	delete(badDeleted, "a")
}`
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, "x.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	changed := assigned([]source{{room: "x", tree: tree}})
	for _, d := range tree.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		v := decl.Specs[0].(*ast.ValueSpec)
		name := v.Names[0].Name
		if why, bad := mutable(decl, v, 0, changed["x."+name]), name[:1] == "b"; (why != "") != bad {
			t.Errorf("%s: %q", name, why)
		}
	}
}
