package runner

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// TestMemoryIsReadFromARealServer: this one, with a unit that has processes, and one that is not there.
func TestMemoryIsReadFromARealServer(t *testing.T) {
	out, err := exec.Command("python3", "-c", lookAtMemory, "sp-nobody-a.service", "").Output()
	var r plane.Room
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil || r.Available < 1 || r.Used != 0 {
		t.Errorf("%+v of %s, %v", r, out, err)
	}
}

// TestShortMemoryIsRefusedBeforeAnythingStarts, with numbers; what is acknowledged, or unknown, goes on and is said.
func TestShortMemoryIsRefusedBeforeAnythingStarts(t *testing.T) {
	for name, c := range map[string]struct {
		answer, args, refused, said string
	}{
		"room":         {`{"Available": 500, "Used": 100}`, ``, "", "needs about 164 MiB"},
		"short":        {`{"Available": 100, "Used": 100}`, ``, "s1 has no room for two slots of web", "needs about 164 MiB"},
		"acknowledged": {`{"Available": 100, "Used": 100}`, `{"memory": true}`, "", "going on as acknowledged"},
		"unknown":      {`what?`, ``, "", "its memory is unknown"},
	} {
		b := newRolling(t, func(command string) (string, bool) { return c.answer, false })
		d := b.goingBack("1")
		d.run.Args = json.RawMessage(c.args)
		err := d.weighMemory(b.ctx, d.taking())
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", name, err)
		}
		log := ""
		for _, e := range d.journal.take() {
			log += e.Text + "\n"
		}
		if !strings.Contains(log, c.said) {
			t.Errorf("%s: the log says %q", name, log)
		}
	}
}
