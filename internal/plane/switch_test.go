package plane_test

import (
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestEveryKindMayRestart(t *testing.T) {
	for _, d := range (plane.Kinds{}).All() {
		for value, accepted := range map[string]bool{plane.SwitchRestart: true, plane.SwitchBeside: true, "Restart": false, "": false} {
			a := plane.App{Kind: d.Kind, Spec: plane.Spec{Options: map[string]string{plane.OptionSwitch: value}}.WithDefaults(d.Kind)}
			err := plane.Kinds{}.Check(a)
			if (err == nil) != accepted {
				t.Errorf("%s: switch=%s: %v", d.Kind, value, err)
			}
			if !accepted && (!strings.Contains(err.Error(), "option: switch must be side-by-side or restart") || !strings.Contains(err.Error(), "the default is side-by-side")) {
				t.Errorf("%s: switch=%s: field, rule or way out is missing: %v", d.Kind, value, err)
			}
		}
	}
}

func TestSlotsThatNeverRunTogetherShareAPort(t *testing.T) {
	p := plane.Ports{ProcessA: 20001, ProcessB: 20002}
	beside, restart := plane.Spec{}, plane.Spec{Options: map[string]string{plane.OptionSwitch: plane.SwitchRestart}}
	if beside.SharedPort(p) != 0 || restart.SharedPort(p) != 20001 {
		t.Errorf("shared are %d and %d", beside.SharedPort(p), restart.SharedPort(p))
	}
	p.Shared = 20001
	if p.Process(plane.SlotA) != 20001 || p.Process(plane.SlotB) != 20001 || p.Own(plane.SlotB) != 20002 {
		t.Errorf("%+v", p)
	}
}

func TestCostOfRestarting(t *testing.T) {
	in, off := plane.Backend{Enabled: true, Placed: true}, plane.Backend{Placed: true}
	for _, c := range []struct {
		backends []plane.Backend
		gap      bool
	}{
		{nil, true}, {[]plane.Backend{in}, true}, {[]plane.Backend{in, off}, true}, {[]plane.Backend{in, in}, false},
		{[]plane.Backend{in, {Enabled: true, Placed: true, Removing: true}}, true}, {[]plane.Backend{in, {Enabled: true}}, true},
	} {
		if plane.GapAhead(c.backends) != c.gap || strings.Contains(plane.RestartCost(c.backends), "only one backend") != c.gap {
			t.Errorf("%d backends: gap %t, %q", len(c.backends), plane.GapAhead(c.backends), plane.RestartCost(c.backends))
		}
	}
}

func TestGapIsAskedForWhereOthersMayBeExpected(t *testing.T) {
	in, off := plane.Backend{Enabled: true, Placed: true}, plane.Backend{Placed: true}
	for _, c := range []struct {
		status   plane.BalancerStatus
		backends []plane.Backend
		asked    bool
	}{
		{plane.BalancerOff, []plane.Backend{in}, false}, {plane.BalancerOff, []plane.Backend{in, off}, false},
		{plane.BalancerOn, []plane.Backend{in}, true}, {plane.BalancerOn, []plane.Backend{in, off}, true}, {plane.BalancerOn, []plane.Backend{in, in}, false},
		{plane.BalancerApplying, []plane.Backend{in}, true}, {plane.BalancerFailed, []plane.Backend{in}, true},
	} {
		if got := (plane.App{Balancer: plane.LoadBalancer{Status: c.status}}).AsksGap(c.backends); got != c.asked {
			t.Errorf("%s with %d backends: asked %t", c.status, len(c.backends), got)
		}
	}
}

func TestFixedPort(t *testing.T) {
	check := func(kind plane.Kind, options map[string]string) error {
		return plane.Kinds{}.Check(plane.App{Kind: kind, Spec: plane.Spec{Options: options}.WithDefaults(kind)})
	}
	restart := func(port string) map[string]string {
		return map[string]string{plane.OptionFixedPort: port, plane.OptionSwitch: plane.SwitchRestart}
	}
	for _, c := range []struct {
		kind    plane.Kind
		options map[string]string
		refused string
	}{
		{plane.KindNodeJS, restart("3000"), ""},
		{plane.KindPython, restart("8000"), ""},
		{plane.KindNodeJS, restart("80"), "must be a port of 1024 to 65535"},
		{plane.KindNodeJS, restart("20001"), "none of ServerPlane's own (20000 to 29999)"},
		{plane.KindNodeJS, restart("03000"), "must be a port"},
		{plane.KindNodeJS, map[string]string{plane.OptionFixedPort: "3000"}, "--option switch=restart"},
		{plane.KindDocker, restart("3000"), "has no option"},
		{plane.KindPHP, restart("3000"), "has no option"},
	} {
		err := check(c.kind, c.options)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s %v: %v", c.kind, c.options, err)
		}
	}
	s := plane.Spec{Options: restart("3000")}
	if got := s.SharedPort(plane.Ports{ProcessA: 20001}); got != 3000 {
		t.Errorf("both slots share %d", got)
	}
}
