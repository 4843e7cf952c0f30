package ui_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
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
	if l.panel.Wish("SetVariablesSeen") != nil {
		t.Fatal("kept before it was shown")
	}
	b.Post(page, "text", "KEY=hunter2\r\nNEW='a b'\r\n", "shown", digest("KEY=hunter2\nNEW='a b'\n"), "seen", "s33n").Leads(page)
	if got := l.panel.Wish("SetVariablesSeen of"); got != "web s33n" {
		t.Errorf("of %q", got)
	}
	if l.panel.Wish("Variables") != false {
		t.Error("showing what changes reveals values")
	}
	if w := l.panel.Wish("SetVariablesSeen").(map[string]string); len(w) != 2 || w["NEW"] != "a b" || w["KEY"] != "hunter2" {
		t.Errorf("wish %q", w)
	}
	b.Post(page, "text", "KEY=edited since", "shown", digest("KEY=x")).Is(200, "<code>KEY</code> replaced")
	l.panel.Fail("SetVariablesSeen", plane.Invalid("PORT", "is set by ServerPlane", "choose another name"))
	b.Post(page, "text", "PORT=1", "shown", digest("PORT=1")).Is(422, "Is set by ServerPlane.", "PORT=1")
	l.panel.Fail("SetVariablesSeen", plane.Conflict("somebody else changed this meanwhile", "look at what it is now, then change it again"))
	b.Post(page, "text", "KEY=mine", "shown", digest("KEY=mine"), "seen", "old").Is(409, "Somebody else changed this meanwhile.", "KEY=mine", "Show what changes")
	b.Post(page+"/unset", "variable", "KEY", "seen", "s33n").Leads(page)
	if got := l.panel.Wish("UnsetVariablesSeen of"); got != "web s33n" {
		t.Errorf("unset of %q", got)
	}
	b.Post(page + "/apply").Leads("/runs/run_1")
}

func TestVariablesOfAFile(t *testing.T) {
	l := newLab(t)
	const page = "/apps/web/environment"
	b := l.as(plane.RoleAdmin)
	b.Get(page).Is(200, `enctype="multipart/form-data"`, `type="file"`)
	b.Upload(page, ".env", "\uFEFFKEY=hunter2\r\nNEW='a b'\r\n").Is(200, "<code>KEY</code> stays as it is", "<code>NEW</code> added", "NEW=&#39;a b&#39;", "Keep them")
	b.Upload(page, ".env", "KEY=\xff").Is(422, `id="file-error"`, "Holds bytes that are not text.")
	b.Upload(page, ".env", strings.Repeat("#", 1<<20+1)).Is(422, `id="file-error"`, "Is larger than 1 MiB.")
	b.Upload(page, ".env", "KEY=1", "text", "KEY=2").Is(422, `id="file-error"`, "KEY=2")
	b.Upload(page, ".env", "=").Is(422, `id="text-error"`)
	b.Upload(page, "", "").Is(422, "Holds no variable.")
	b.Upload(page, ".env", strings.Repeat("x", 5<<20)).Is(422, "The form could not be read.")
	l.as(plane.RoleViewer).Upload(page, ".env", "KEY=1").Is(403)
	if l.panel.Wish("SetVariablesSeen") != nil {
		t.Error("kept before it was shown")
	}
	if strings.Contains(l.log.String(), "hunter2") {
		t.Error("the log holds a value")
	}
}
