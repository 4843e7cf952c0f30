package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// narrator tells a person what happens, with the seconds since the beginning.
type narrator struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

func newNarrator(out io.Writer) *narrator { return &narrator{out: out, began: time.Now()} }

func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "%4.0f s  %s\n", time.Since(n.began).Seconds(), fmt.Sprintf(format, args...))
}

// Write takes the fleet's own lines.
func (n *narrator) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		n.say("%s", strings.TrimRight(line, "\n"))
	}
	return len(p), nil
}

// spread shows who answered how many requests.
func (n *narrator) spread(c lab.Count, servers []*fleet.Server) {
	w := tabwriter.NewWriter(n.out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\n        SERVER\tADDRESS\tREQUESTS\n")
	for _, s := range servers {
		served := c.Served[s.Name]
		fmt.Fprintf(w, "        %s\t%s\t%d\t%s\n", s.Name, s.Addr, served, strings.Repeat("#", served))
	}
	fmt.Fprintf(w, "        lost\t\t%d\n\n", c.Lost)
	_ = w.Flush() // as with Fprintf: nobody to tell
}

// howToReach is what a person needs to go on alone.
func (n *narrator) howToReach(d *demo) {
	binary := d.panel.Binary
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, binary); err == nil {
			binary = short
		}
	}
	fmt.Fprintf(n.out, `The app, through the entry on s1:
        curl %s
The panel (an API; the command line below speaks to it):
        export SERVERPLANE_URL=%s
        export SERVERPLANE_TOKEN=%s
Things to try in another terminal, from this folder:
        %[4]s server list
        %[4]s backend list %[5]s
        %[4]s lb show %[5]s
        %[4]s env set %[5]s APP_VERSION=2 && %[4]s env apply %[5]s --wait
        %[4]s run list
The servers:
`, d.entry.url(), d.panel.URL, d.panel.Token, binary, app)
	for _, s := range d.servers {
		fmt.Fprintf(n.out, "        %s\n", s.CommandLine())
	}
	fmt.Fprintf(n.out, "\nCtrl-C ends the demo and takes everything away.\n")
}
