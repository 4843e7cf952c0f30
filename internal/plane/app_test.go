package plane_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

var day = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestSpecWithDefaults(t *testing.T) {
	got := plane.Spec{}.WithDefaults(plane.KindNodeJS)
	if got.Start != "npm start" || got.HealthPath != "/" || !slices.Equal(got.Build, []string{"npm ci", "npm run build --if-present"}) {
		t.Errorf("defaults are %+v", got)
	}
	own := plane.Spec{Start: "node .", Build: []string{}, HealthPath: "/up"}
	if got := own.WithDefaults(plane.KindNodeJS); got.Start != "node ." || len(got.Build) != 0 || got.HealthPath != "/up" {
		t.Errorf("what the person said became %+v", got)
	}
	if again := got.WithDefaults(plane.KindNodeJS); again.Start != got.Start || !slices.Equal(again.Build, got.Build) {
		t.Errorf("twice is not once: %+v", again)
	}
}

func TestSpecCheck(t *testing.T) {
	good := plane.Spec{}.WithDefaults(plane.KindNodeJS)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*plane.Spec){
		"root":        func(s *plane.Spec) { s.Root = "../x" },
		"health_path": func(s *plane.Spec) { s.HealthPath = "up" },
		"start":       func(s *plane.Spec) { s.Start = " " },
		"build":       func(s *plane.Spec) { s.Build = []string{"ok", ""} },
		"run_once":    func(s *plane.Spec) { s.RunOnce = []string{"a\x00"} },
	} {
		s := good
		spoil(&s)
		refusedAt(t, s.Check(), field)
	}
}

func TestDrain(t *testing.T) {
	for text, want := range map[string]time.Duration{"0s": 0, "90s": 90 * time.Second, "10m": 10 * time.Minute} {
		s := plane.Spec{Options: map[string]string{plane.OptionDrain: text}}.WithDefaults(plane.KindNodeJS)
		if err := checkKind(s); err != nil || s.Drain() != want {
			t.Errorf("%s: %v, %v", text, s.Drain(), err)
		}
	}
	for _, text := range []string{"", "30", "-1s", "10m1s", "soon", "1e9h"} {
		s := plane.Spec{Options: map[string]string{plane.OptionDrain: text}}.WithDefaults(plane.KindNodeJS)
		refusedAt(t, checkKind(s), "option")
		if s.Drain() != plane.DefaultDrain {
			t.Errorf("%q: drains %s", text, s.Drain())
		}
	}
	if (plane.Spec{}).Drain() != 30*time.Second {
		t.Error("the default drain is not 30 s")
	}
}

// checkKind holds a Node.js app's spec against its kind.
func checkKind(s plane.Spec) error {
	return plane.Kinds{}.Check(plane.App{Kind: plane.KindNodeJS, Spec: s})
}

func TestAppCheck(t *testing.T) {
	good := plane.App{
		Name: "web", Kind: plane.KindNodeJS, Repository: "https://example.com/web.git", Branch: "main", Domains: []string{"www.example.com"},
		Spec: plane.Spec{}.WithDefaults(plane.KindNodeJS), Balancer: plane.NewLoadBalancer(),
	}
	if err := good.Check(false); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*plane.App){
		"name":       func(a *plane.App) { a.Name = "Web" },
		"repository": func(a *plane.App) { a.Repository = "file:///x" },
		"branch":     func(a *plane.App) { a.Branch = "-x" },
		"domain":     func(a *plane.App) { a.Domains = []string{"ok.example.com", "no"} },
		"start":      func(a *plane.App) { a.Spec.Start = " " },
		"interval":   func(a *plane.App) { a.Balancer.Health.Interval = 0 },
	} {
		a := good
		spoil(&a)
		refusedAt(t, a.Check(false), field)
	}
}

func TestHealthCheckLimits(t *testing.T) {
	seconds := func(n float64) plane.Duration { return plane.Duration(time.Duration(n * float64(time.Second))) }
	good := plane.NewLoadBalancer().Health
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		field string
		check plane.HealthCheck
	}{
		"interval too short":         {"interval", plane.HealthCheck{Interval: seconds(0.999), Timeout: seconds(0.5), Fall: 1, Rise: 1}},
		"interval too long":          {"interval", plane.HealthCheck{Interval: seconds(301), Timeout: seconds(5), Fall: 1, Rise: 1}},
		"timeout above the interval": {"timeout", plane.HealthCheck{Interval: seconds(1), Timeout: seconds(1.1), Fall: 1, Rise: 1}},
		"timeout too short":          {"timeout", plane.HealthCheck{Interval: seconds(1), Timeout: seconds(0.05), Fall: 1, Rise: 1}},
		"fall 0":                     {"fall", plane.HealthCheck{Interval: seconds(1), Timeout: seconds(1), Rise: 1}},
		"fall 11":                    {"fall", plane.HealthCheck{Interval: seconds(1), Timeout: seconds(1), Fall: 11, Rise: 1}},
		"rise 0":                     {"rise", plane.HealthCheck{Interval: seconds(1), Timeout: seconds(1), Fall: 1}},
		"rise 11":                    {"rise", plane.HealthCheck{Interval: seconds(1), Timeout: seconds(1), Fall: 1, Rise: 11}},
	} {
		t.Run(name, func(t *testing.T) { refusedAt(t, c.check.Check(), c.field) })
	}
	for _, edge := range []plane.HealthCheck{
		{Interval: seconds(1), Timeout: seconds(1), Fall: 1, Rise: 1}, {Interval: seconds(300), Timeout: seconds(300), Fall: 10, Rise: 10},
	} {
		if err := edge.Check(); err != nil {
			t.Errorf("%+v: %v", edge, err)
		}
	}
}

func TestDurationIsGoText(t *testing.T) {
	raw, err := json.Marshal(plane.HealthCheck{Interval: plane.Duration(10 * time.Second), Timeout: plane.Duration(1500 * time.Millisecond)})
	if err != nil || string(raw) != `{"interval":"10s","timeout":"1.5s","fall":0,"rise":0}` {
		t.Errorf("%s, %v", raw, err)
	}
	var d plane.Duration
	for _, bad := range []string{`10`, `"10"`, `"soon"`, `null1`} {
		if json.Unmarshal([]byte(bad), &d) == nil {
			t.Errorf("%s is read as %s", bad, d)
		}
	}
}

func TestErrorSaysWhatWhereAndTheWayOut(t *testing.T) {
	err := error(plane.Invalid("name", "must be short", "for example web"))
	if got := err.Error(); got != "name: must be short (for example web)" {
		t.Errorf("got %q", got)
	}
	for want, err := range map[plane.Code]error{
		plane.CodeInvalid: err, plane.CodeNotFound: plane.NotFound("app", "web"), plane.CodeConflict: plane.Conflict("x", ""),
		plane.CodeUnavailable: plane.Unavailable("x", ""), plane.CodeInternal: errors.New("disk on fire"),
	} {
		if got := plane.CodeOf(errors.Join(err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// refusedAt holds that err is a refusal which names the field.
func refusedAt(t *testing.T, err error, field string) {
	t.Helper()
	told, ok := errors.AsType[*plane.Error](err)
	if !ok || told.Code != plane.CodeInvalid || told.Field != field || strings.TrimSpace(told.Message) == "" {
		t.Errorf("want a refusal of %q, got %v", field, err)
	}
}
