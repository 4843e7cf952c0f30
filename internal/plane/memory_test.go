package plane_test

import (
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestRoomForASecondSlot(t *testing.T) {
	for name, c := range map[string]struct {
		room  plane.Room
		needs int
		short bool
	}{
		"fits":                      {plane.Room{Available: 1000, Used: 400}, 500, false},
		"just fits":                 {plane.Room{Available: 500, Used: 400}, 500, false},
		"just too little":           {plane.Room{Available: 499, Used: 400}, 500, true},
		"a small one may grow, too": {plane.Room{Available: 100, Used: 40}, 104, true},
		"a limit holds it back":     {plane.Room{Available: 300, Used: 250, Limit: 256}, 256, false},
		"more than its limit":       {plane.Room{Available: 200, Used: 250, Limit: 256}, 256, true},
		"nothing runs":              {plane.Room{Available: 10}, 64, false},
		"unknown":                   {plane.Room{Unknown: "it has no python3"}, 64, false},
	} {
		if c.room.Needs() != c.needs || c.room.Short() != c.short {
			t.Errorf("%s: needs %d, short %t", name, c.room.Needs(), c.room.Short())
		}
	}
	text := plane.RefuseShort("web", "s2", "deploy web", plane.Room{Available: 156, Used: 140}).Error()
	for _, want := range []string{"s2 has no room", "156 MiB", "140 MiB", "204 MiB", "app set web --option switch=restart", "deploy web --acknowledge memory"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if said := (plane.Room{Unknown: "it has no python3"}).Words(); !strings.Contains(said, "unknown (it has no python3)") || !strings.Contains(said, "going on") {
		t.Errorf("what is unknown is told as %q", said)
	}
}
