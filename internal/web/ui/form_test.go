package ui

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestConfirmed(t *testing.T) {
	r := httptest.NewRequest("POST", "/apps/web/remove", nil)
	r.SetPathValue("name", "web")
	for typed, ok := range map[string]bool{"web": true, " web ": true, "": false, "WEB": false, "web-api": false} {
		v := &visit{r: r, form: Form{Values: url.Values{"confirm": {typed}}}}
		if err := v.confirmed(v.path("name")); (err == nil) != ok {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

func TestFieldShowsWhatWasTyped(t *testing.T) {
	for name, c := range map[string]struct {
		form Form
		kind string
		want string
	}{
		"first":         {Form{}, "text", "main"},
		"typed":         {Form{Values: url.Values{"branch": {"x"}}}, "text", "x"},
		"emptied":       {Form{Values: url.Values{"branch": {""}}}, "text", ""},
		"never secrets": {Form{Values: url.Values{"branch": {"x"}}}, "password", "main"},
		"Unix lines":    {Form{Values: url.Values{"branch": {"a\r\nb"}}}, "textarea", "a\nb"},
	} {
		got, err := field(c.form, "branch", "Branch", c.kind, "value=main")
		if err != nil || got.Value != c.want {
			t.Errorf("%s: %q, %v", name, got.Value, err)
		}
	}
	if _, err := field(Form{}, "a", "A", "text", "onclick=x"); err == nil {
		t.Error("an attribute outside the list was taken")
	}
}

func TestFieldSaysWhatIsWrong(t *testing.T) {
	f := Form{Values: url.Values{"branch": {"x"}}, Err: plane.Invalid("branch", "is wrong", "")}
	got, err := field(f, "branch", "Branch", "select", "option=x:The X", "option=y", "hint=choose")
	if err != nil || got.Err == nil || got.Describes() != "branch-error branch-hint" {
		t.Errorf("%+v, %v", got, err)
	}
	want := []Option{{Value: "x", Label: "The X", Chosen: true}, {Value: "y", Label: "y"}}
	if diff := cmp.Diff(want, got.Options); diff != "" {
		t.Error(diff)
	}
	if other, _ := field(f, "name", "Name", "text"); other.Err != nil {
		t.Error("the wrong field is told")
	}
}

func TestLinesOfAForm(t *testing.T) {
	f := Form{Values: url.Values{"domains": {"a.example\r\n\r\n  b.example \r\n"}}}
	if diff := cmp.Diff([]string{"a.example", "b.example"}, f.Lines("domains")); diff != "" {
		t.Error(diff)
	}
}

// What has no form to go back to stays an error.
func TestAgainKeepsOnlyWhatTheFormCanMend(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		shown bool
	}{
		"invalid":     {plane.Invalid("name", "x", ""), true},
		"conflict":    {plane.Conflict("x", ""), true},
		"unavailable": {plane.Unavailable("x", ""), true},
		"not found":   {plane.NotFound("app", "x"), false},
		"its field":   {&plane.Error{Code: plane.CodeNotFound, Field: "server"}, true},
		"forbidden":   {&plane.Error{Code: plane.CodeForbidden}, false},
		"ours":        {errors.New("x"), false},
	} {
		v, shown := &visit{}, false
		err := v.again(c.err, func(*visit) error { shown = true; return nil })
		if shown != c.shown || shown == (err != nil) {
			t.Errorf("%s: shown %v, %v", name, shown, err)
		}
	}
}

func TestWordsForTimes(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	u := &UI{now: func() time.Time { return now }}
	for d, want := range map[time.Duration]string{
		time.Second: "just now", -3 * time.Second: "just now", 90 * time.Second: "1 min ago", 3 * time.Hour: "3 h ago",
		50 * time.Hour: "2 days ago", -2 * time.Hour: "in 2 h",
	} {
		if got := u.ago(now.Add(-d)); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1400 * time.Millisecond: "1 s", 72 * time.Second: "1 min 12 s", 2*time.Hour + 5*time.Minute: "2 h 5 min"} {
		if got := lasting(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
