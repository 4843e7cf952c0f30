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
