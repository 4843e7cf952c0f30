package ui_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestVariablesPage(t *testing.T) {
	l := newLab(t)
	const page = "/apps/web/environment"
	for _, role := range []plane.Role{plane.RoleViewer, plane.RoleAdmin} {
		l.as(role).Get(page).Is(200, "KEY", "hidden, 7 bytes").Lacks("hunter2")
	}
	l.as(plane.RoleViewer).Get(page).Is(200).Lacks("Set variables", "Show values")
	l.as(plane.RoleViewer).Post(page + "/values").Is(403).Lacks("hunter2")
	b := l.as(plane.RoleAdmin)
	b.Post(page+"/values").Is(200, "hunter2", "Hide values")

	b.Post(page, "text", "KEY=hunter2\nNEW='a b'\n").Is(200, "<code>KEY</code> stays as it is", "<code>NEW</code> added", "NEW=&#39;a b&#39;", "Keep them")
	b.Post(page, "text", "KEY=other").Is(200, "<code>KEY</code> replaced")
	b.Post(page, "text", "=x").Is(422, `id="text-error"`)
	b.Post(page, "text", "# nothing").Is(422, "Holds no variable.")
	if l.panel.Wish("SetVariables") != nil {
		t.Fatal("kept before it was shown")
	}
	b.Post(page, "text", "KEY=hunter2\r\nNEW='a b'\r\n", "shown", digest("KEY=hunter2\nNEW='a b'\n")).Leads(page)
	if w := l.panel.Wish("SetVariables").(map[string]string); len(w) != 2 || w["NEW"] != "a b" || w["KEY"] != "hunter2" {
		t.Errorf("wish %q", w)
	}
	b.Post(page, "text", "KEY=edited since", "shown", digest("KEY=x")).Is(200, "<code>KEY</code> replaced")
	l.panel.Fail("SetVariables", plane.Invalid("PORT", "is set by ServerPlane", "choose another name"))
	b.Post(page, "text", "PORT=1", "shown", digest("PORT=1")).Is(422, "Is set by ServerPlane.", "PORT=1")
	b.Post(page+"/unset", "variable", "KEY").Leads(page)
	b.Post(page + "/apply").Leads("/runs/run_1")
}
