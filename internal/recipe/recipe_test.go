package recipe_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
)

// slotFile returns one file of the slot's tar of the first seat.
func slotFile(t *testing.T, p recipe.Preparation, suffix string) string {
	t.Helper()
	play, err := recipe.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(listing(t, play.Files[1].Content), "-- ") {
		if name, text, _ := strings.Cut(part, "\n"); strings.Contains(name, suffix+" ") {
			return text
		}
	}
	t.Fatalf("no %s", suffix)
	return ""
}

// NODE_ENV=production belongs to the process, not to the build: npm would leave
// out what a build needs.
func TestNodeEnv(t *testing.T) {
	for name, c := range map[string]struct {
		values  map[string]string
		process string
	}{
		"not given": {nil, `NODE_ENV="production"`},
		"given":     {map[string]string{"NODE_ENV": "staging"}, `NODE_ENV="staging"`},
		"empty":     {map[string]string{"NODE_ENV": ""}, `NODE_ENV=""`},
	} {
		p := preparation(c.values, seat(1))
		if env := slotFile(t, p, "/env"); !strings.Contains(env, c.process+"\n") {
			t.Errorf("%s: the process gets %s", name, env)
		}
		if env := slotFile(t, p, "/build.env"); strings.Contains(env, "NODE_ENV") {
			t.Errorf("%s: the build gets %s", name, env)
		}
	}
}

func TestAuthoritiesOfTheSystemUnlessGiven(t *testing.T) {
	for _, file := range []string{"/env", "/build.env"} {
		if env := slotFile(t, preparation(nil, seat(1)), file); !strings.Contains(env, `NODE_EXTRA_CA_CERTS="/etc/ssl/certs/ca-certificates.crt"`) {
			t.Errorf("%s: %s", file, env)
		}
		own := preparation(map[string]string{"NODE_EXTRA_CA_CERTS": "/own"}, seat(1))
		if env := slotFile(t, own, file); !strings.Contains(env, `NODE_EXTRA_CA_CERTS="/own"`) || strings.Contains(env, "/etc/ssl") {
			t.Errorf("%s: %s", file, env)
		}
	}
}

func TestPrepareLeavesTheValuesAlone(t *testing.T) {
	values := map[string]string{"A": "1"}
	slotFile(t, preparation(values, seat(1)), "/env")
	if diff := cmp.Diff(map[string]string{"A": "1"}, values); diff != "" {
		t.Error(diff)
	}
}

// A variable's value is in a file of the play and nowhere else: what is in vars
// may end up in a process list, a log or a template.
func TestNoValueInPlayVars(t *testing.T) {
	const secret = "correct-horse-battery"
	play, err := recipe.Prepare(preparation(map[string]string{"APP_KEY": secret, "NODE_ENV": secret}, seat(1), seat(2)))
	if err != nil {
		t.Fatal(err)
	}
	if told := describe(t, play); strings.Contains(told, secret) || strings.Contains(told, "APP_KEY") {
		t.Errorf("the play tells it:\n%s", told)
	}
	if !strings.Contains(listing(t, play.Files[1].Content), secret) {
		t.Error("the value did not get into the files either")
	}
}

func TestFirewallRules(t *testing.T) {
	leave, own := seat(2), seat(3)
	leave.Server.Firewall = plane.FirewallLeave
	own.Server.Firewall = plane.FirewallKeepOpen
	own.Backend.SeenAs = netip.MustParseAddr("2001:db8::1")
	own.Server.PrivateAddress = netip.MustParseAddr("2001:db8::3")
	play, err := recipe.Prepare(preparation(nil, seat(1), leave, own))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		[]map[string]any{{"ports": []int{80, 443}, "comment": "serverplane http"}},
		[]map[string]any{},
		[]map[string]any{{"from": "2001:db8::1", "to": "2001:db8::3", "ports": []int{20011, 20012}, "comment": "serverplane web"}},
	}
	for i, h := range play.Hosts {
		if diff := cmp.Diff(want[i], h.Vars["firewall_rules"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", h.Name, diff)
		}
	}
}

func TestCheckVariables(t *testing.T) {
	node, err := (plane.Kinds{}).Of(plane.KindNodeJS)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", plane.MaxVariable)
	fit, unfit := map[string]string{}, map[string]string{}
	for i := range 12 {
		if i < 10 {
			fit[fmt.Sprintf("V%d", i)] = value
		}
		unfit[fmt.Sprintf("V%d", i)] = value
	}
	if err := recipe.CheckVariables(node, fit); err != nil {
		t.Errorf("1000 KiB: %v", err)
	}
	refused := []map[string]string{unfit, {"A": value + "x"}, {"A": "a\x00secret"}, {"A": "secret\xff"}, {"A-B": "secret"}}
	for _, values := range refused {
		err := recipe.CheckVariables(node, values)
		if plane.CodeOf(err) != plane.CodeInvalid {
			t.Errorf("%d variables: %v", len(values), err)
			continue
		}
		if strings.Contains(err.Error(), "secret") || len(err.Error()) > 1000 {
			t.Errorf("the error repeats a value: %.200v", err)
		}
	}
	if err := recipe.CheckVariables(node, nil); err != nil {
		t.Errorf("none: %v", err)
	}
}

func TestQuestions(t *testing.T) {
	a, entry := app(), seat(1)
	ask := recipe.Question(a, entry, seat(2), plane.SlotB, "/up", 3*time.Second)
	if ask.Address != "10.0.0.2:20008" || ask.Host != "www.example.com" || ask.Path != "/up" || ask.Visitor != "203.0.113.1" ||
		ask.FromName != "s1" || ask.From != recipe.Target(entry.Server) || ask.Timeout != 3*time.Second {
		t.Errorf("a backend is asked %+v", ask)
	}
	if own := recipe.Question(a, entry, entry, plane.SlotA, "/", time.Second); own.Address != "127.0.0.1:20003" {
		t.Errorf("the primary's own slot is asked at %s", own.Address)
	}
	a.Domains = nil
	door := recipe.DoorQuestion(a, entry, "/", time.Second)
	if door.Address != "127.0.0.1:80" || door.Host != "203.0.113.1" {
		t.Errorf("the door is asked %+v", door)
	}
	entry.Server.Address = netip.MustParseAddr("2001:db8::1")
	if got := recipe.Host(a, entry.Server); got != "[2001:db8::1]" {
		t.Errorf("without a domain on IPv6 the host is %s", got)
	}
}

func TestTargets(t *testing.T) {
	s := server(2)
	s.SSHPort, s.Survey.SSHPort = 2022, 22
	outer, inner := recipe.Target(s), recipe.InnerTarget(s)
	if outer.Address != "203.0.113.2" || outer.Port != 2022 || outer.User != files.Login || outer.HostKey != s.HostKey || outer.ID != s.ID {
		t.Errorf("from outside: %+v", outer)
	}
	if inner.Address != "10.0.0.2" || inner.Port != 22 {
		t.Errorf("from another server: %+v", inner)
	}
}

// TestWhatIsAcceptedCanBeRendered: a wish the domain took must not fail a Run
// later because a room below has a narrower rule.
func TestWhatIsAcceptedCanBeRendered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := preparation(nil, seat(1), seat(2))
		p.App.Name = accepted(t, "name", `[a-z][a-z0-9-]{0,25}`, plane.CheckName)
		p.Seats[1].Server.Name = accepted(t, "server", `[a-z][a-z0-9-]{0,25}|all|localhost|ungrouped`, plane.CheckServerName)
		p.App.Domains = []string{accepted(t, "domain", `[a-z0-9-]{1,64}\.[a-z0-9-]{1,64}(\.[a-z]{2})?`, plane.CheckDomain)}
		spec := &p.Plan.Spec
		spec.Root = accepted(t, "root", `[ -~]{0,12}|([a-z.~%@_-]{1,4}/){0,60}[a-z]`, plane.CheckRoot)
		spec.Start = accepted(t, "start", `[ -~\n]{1,40}|[ \t\n]{1,3}`, plane.CheckCommand)
		spec.Build = []string{accepted(t, "build", `(?s).{1,20}`, plane.CheckCommand)}
		spec.Options = map[string]string{plane.OptionDrain: rapid.SampledFrom([]string{"0s", "1ms", "30s", "10m"}).Draw(t, "drain")}
		if p.Seats[1].Server.Name == p.Seats[0].Server.Name {
			return
		}
		p.Values = map[string]string{}
		for range rapid.IntRange(0, 3).Draw(t, "variables") {
			name, value := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,130}`).Draw(t, "variable"), rapid.String().Draw(t, "value")
			if plane.CheckVariable(name, value) == nil {
				p.Values[name] = value
			}
		}
		if err := spec.Check(); err != nil {
			t.Fatalf("the spec is refused: %v", err)
		}
		if _, err := recipe.Prepare(p); err != nil {
			t.Fatalf("prepare: %v", err)
		}
		if _, err := recipe.RunOnce(p.Run, p.App, p.Plan, p.Seats[0]); err != nil {
			t.Fatalf("run once: %v", err)
		}
		if _, err := recipe.Tree(p.Seats[0].Server, []recipe.Presence{{App: p.App, Here: p.Seats[0].Backend, Seats: p.Seats}}); err != nil {
			t.Fatalf("tree: %v", err)
		}
	})
}

// accepted draws text that check takes.
func accepted(t *rapid.T, label, pattern string, check func(field, text string) error) string {
	return rapid.StringMatching(pattern).Filter(func(s string) bool { return check(label, s) == nil }).Draw(t, label)
}
