package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// made names the calls whose result nobody changes.
var made = []string{
	"errors.New", "regexp.MustCompile", "netip.MustParsePrefix", "netip.MustParseAddr", "netip.AddrFrom4", "time.Date", "strings.NewReplacer",
}

// noStateOfNobody: what a package keeps for itself is shared by everything
// in the process, in no order; it is handed in or held by somebody instead.
func noStateOfNobody(t *testing.T, set *token.FileSet, all []source) {
	written := assigned(all)
	for _, s := range all {
		if s.test || strings.HasPrefix(s.room, "e2e") {
			continue
		}
		for _, d := range s.tree.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, spec := range decl.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if why := mutable(decl, v, i, written[s.room+"."+name.Name]); why != "" {
						t.Errorf("%s: the variable %s %s: hand it in, or let a value hold it", s.at(set, v), name.Name, why)
					}
				}
			}
		}
	}
}

// mutable says why a package's variable is state, or is empty.
func mutable(decl *ast.GenDecl, v *ast.ValueSpec, i int, changed bool) string {
	switch {
	case v.Names[i].Name == "_" || embedded(decl.Doc) || embedded(v.Doc):
		return ""
	case changed:
		return "is changed after it was made"
	case len(v.Values) != len(v.Names):
		return "has no value of its own"
	}
	switch value := v.Values[i].(type) {
	case *ast.CompositeLit:
		if len(value.Elts) == 0 {
			return "is empty, so it is no table to look up in"
		}
		return ""
	case *ast.CallExpr:
		if callee, ok := value.Fun.(*ast.SelectorExpr); ok && slices.Contains(made, spelled(callee)) {
			return ""
		}
	}
	return "is neither an error, a compiled pattern, an embedded file nor a table"
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	return slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

func spelled(s *ast.SelectorExpr) string {
	from, ok := s.X.(*ast.Ident)
	return nameOf(from, ok) + "." + s.Sel.Name
}

// assigned tells, as room.name, which names of packages are changed somewhere
// in their own package. A local variable that hides one is not counted.
func assigned(all []source) map[string]bool {
	found := map[string]bool{}
	for _, s := range all {
		if s.test {
			continue
		}
		for _, d := range s.tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				for _, name := range changedIn(f) {
					found[s.room+"."+name] = true
				}
			}
		}
	}
	return found
}

// changedIn lists the names a function assigns to, directly or in their
// elements, or whose address it takes, without those it declares itself.
func changedIn(f *ast.FuncDecl) []string {
	own, changed := map[string]bool{}, []string{}
	fields := []*ast.FieldList{f.Recv, f.Type.Params, f.Type.Results}
	note := func(e ast.Expr) { changed = append(changed, rootOf(e)) }
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			fields = append(fields, n.Type.Params, n.Type.Results)
		case *ast.ValueSpec:
			for _, name := range n.Names {
				own[name.Name] = true
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				own[rootOf(n.Key)], own[rootOf(n.Value)] = true, true
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if n.Tok == token.DEFINE {
					own[rootOf(left)] = true
				} else {
					note(left)
				}
			}
		case *ast.IncDecStmt:
			note(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				note(n.X)
			}
		case *ast.CallExpr:
			if callee, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, callee.Name) {
				note(n.Args[0])
			}
		}
		return true
	})
	for _, list := range fields {
		if list == nil {
			continue
		}
		for _, field := range list.List {
			for _, name := range field.Names {
				own[name.Name] = true
			}
		}
	}
	return slices.DeleteFunc(changed, func(name string) bool { return own[name] })
}

// rootOf is the name at the beginning of x, x[i], x.f, *x and (x).
func rootOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return rootOf(e.X)
	case *ast.SelectorExpr:
		return rootOf(e.X)
	case *ast.StarExpr:
		return rootOf(e.X)
	case *ast.ParenExpr:
		return rootOf(e.X)
	}
	return ""
}

func noInit(t *testing.T, set *token.FileSet, all []source) {
	for _, s := range all {
		for _, d := range s.tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init runs before anybody asked for it; call it from New", s.at(set, f))
			}
		}
	}
}

// onlyTheCommandLineSpeaks: a room that prints writes into somebody's data
// or log without being asked.
func onlyTheCommandLineSpeaks(t *testing.T, set *token.FileSet, all []source) {
	spoken := []string{
		"fmt.Print", "fmt.Printf", "fmt.Println", "log.Print", "log.Printf", "log.Println", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic",
		"log.Panicf", "slog.Debug", "slog.Info", "slog.Warn", "slog.Error", "slog.SetDefault",
	}
	for _, s := range all {
		if s.test || !strings.HasPrefix(s.room, "internal/") || s.room == "internal/cli" {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch callee := call.Fun.(type) {
			case *ast.SelectorExpr:
				if slices.Contains(spoken, spelled(callee)) {
					t.Errorf("%s: %s speaks for everybody: return it, or use the logger handed in", s.at(set, n), spelled(callee))
				}
			case *ast.Ident:
				if callee.Name == "print" || callee.Name == "println" {
					t.Errorf("%s: %s is for debugging", s.at(set, n), callee.Name)
				}
			}
			return true
		})
	}
}

// mainCannotBeWrong: what is in main can only be tried by starting it.
func mainCannotBeWrong(t *testing.T, set *token.FileSet, all []source) {
	seen := false
	for _, s := range all {
		if s.room != "cmd/serverplane" {
			continue
		}
		seen = true
		if lines := set.Position(s.tree.End()).Line; lines >= 15 || s.path != "cmd/serverplane/main.go" {
			t.Errorf("%s has %d lines: main is one file under 15 lines that calls one function", s.path, lines)
		}
	}
	if !seen {
		t.Error("there is no cmd/serverplane/main.go")
	}
}

func everyPackageSaysItsDuty(t *testing.T, _ *token.FileSet, all []source) {
	told := map[string]bool{}
	for _, s := range all {
		if !s.test {
			told[s.room] = told[s.room] || s.tree.Doc != nil
		}
	}
	for room, ok := range told {
		if !ok {
			t.Errorf("%s has no doc comment saying its duty", room)
		}
	}
}
