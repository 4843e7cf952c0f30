package runner

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// doubts are words of a line that tells of something that is not so, or not known.
var doubts = regexp.MustCompile(`\b(could not|cannot|not proven|unknown)\b`)

// A page ticks what a Run says and warns of what begins with "warning: ": what
// could not be seen must not get a tick.
func TestWhatIsNotKnownIsSaidAsAWarning(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	doubted := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		at := token.NewFileSet()
		file, err := parser.ParseFile(at, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			text, ok := said(n)
			if !ok || !doubts.MatchString(text) {
				return true
			}
			if doubted++; !strings.HasPrefix(text, "warning: ") {
				t.Errorf("%s would get a tick: %s", at.Position(n.Pos()), text)
			}
			return true
		})
	}
	if doubted < 5 {
		t.Errorf("only %d lines tell of a doubt: this looks for something that is called otherwise now", doubted)
	}
}

// said is the text of a call of say.
func said(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return "", false
	}
	if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "say" {
		return "", false
	}
	text, ok := call.Args[1].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	return strings.Trim(text.Value, `"`), true
}
