package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// guardPath is where provisioning puts the guarded-change program.
const guardPath = "/usr/local/lib/serverplane/guard"

// switchPath is where it puts the program that makes a slot live.
const switchPath = "/usr/local/lib/serverplane/switch"

// Change is the complete set of our files in a server's Nginx tree. What an earlier Change put there and this one does not name
// is removed.
type Change struct {
	Generation int64  // a server that has seen a newer one answers Superseded
	Version    string // what the new workers must answer at 127.0.0.1:20000; one of Files makes them
	Files      []File
	Announce   bool // let answers carry "Connection: close" for 0.3 s before the reload
}

// File is one file of a Change.
type File struct {
	Path string // relative to /etc/nginx, below conf.d, modules-enabled or serverplane
	Text string
	Mode fs.FileMode // 0 means 0644
}

// The results of a guarded change.
const (
	Unchanged  = "unchanged"  // all was so already
	Applied    = "applied"    // in force, seen to be so
	Superseded = "superseded" // the server has a newer generation; nothing was touched
	Refused    = "refused"    // Nginx or our own rules say no; nothing live was touched
	Failed     = "failed"     // tried and undone
)

// Outcome is what the guarded-change program reports.
type Outcome struct {
	Result     string
	Generation int64  // of the tree that is in force now
	Message    string // why, in words; Nginx's own where it spoke
	File       string // the file Message is about, by its real path, or ""
	Line       int    // in File; 0 when there is none
	Ours       bool   // File is one that we manage; a foreign one is another site's
	Took       time.Duration
}

// Apply brings c into force on t: tested on a copy first, put in place, reloaded and seen in force, or undone. Once the server
// has all of c it finishes whatever becomes of the connection, so after [KindLost] simply apply again. An error means that no
// outcome is known; refused and failed changes are outcomes.
func (p *Pool) Apply(ctx context.Context, t Target, c Change) (Outcome, error) {
	input, err := c.encode()
	if err != nil {
		return Outcome{}, err
	}
	return p.guard(ctx, t, input, "apply")
}

// Switch makes slot "a" or "b" of app the live one on t.
func (p *Pool) Switch(ctx context.Context, t Target, app, slot string) (Outcome, error) {
	begin := time.Now()
	out, err := p.program(ctx, t, nil, switchPath, app, slot)
	out.Took = time.Since(begin)
	return out, err
}

// TestNginx asks Nginx on t whether its live tree is sound: Unchanged, or Refused with file and line.
func (p *Pool) TestNginx(ctx context.Context, t Target) (Outcome, error) {
	return p.guard(ctx, t, nil, "test")
}

func (p *Pool) guard(ctx context.Context, t Target, input []byte, verb string) (Outcome, error) {
	return p.program(ctx, t, input, guardPath, verb)
}

// program runs one of our programs on t as root and reads its outcome.
func (p *Pool) program(ctx context.Context, t Target, input []byte, args ...string) (Outcome, error) {
	cmd := Command{Args: args, Stdin: bytes.NewReader(input), Sudo: true}
	result, err := p.Exec(ctx, t, cmd)
	if err != nil {
		return Outcome{}, fmt.Errorf("%s %s: %w", path.Base(args[0]), args[1], err)
	}
	outcome, err := decodeOutcome(result)
	if err != nil {
		return Outcome{}, fmt.Errorf("%s %s on %s: %w", path.Base(args[0]), args[1], t.name(), err)
	}
	return outcome, nil
}

type wireFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
	Mode string `json:"mode"`
}

type wireChange struct {
	Generation int64      `json:"generation"`
	Version    string     `json:"version"`
	Announce   bool       `json:"announce"`
	Files      []wireFile `json:"files"`
}

type wireOutcome struct {
	Result     string  `json:"result"`
	Generation int64   `json:"generation"`
	Message    string  `json:"message"`
	File       string  `json:"file"`
	Line       int     `json:"line"`
	Ours       bool    `json:"ours"`
	Seconds    float64 `json:"seconds"`
}

// encode is the change as the guard reads it. JSON would silently replace bytes that are not UTF-8.
func (c Change) encode() ([]byte, error) {
	wire := wireChange{Generation: c.Generation, Version: c.Version, Announce: c.Announce, Files: []wireFile{}}
	for _, f := range c.Files {
		if !utf8.ValidString(f.Text) || !utf8.ValidString(f.Path) {
			return nil, fmt.Errorf("encoding the change: %q is not UTF-8", f.Path)
		}
		mode := f.Mode.Perm()
		if mode == 0 {
			mode = 0o644
		}
		wire.Files = append(wire.Files, wireFile{Path: f.Path, Text: f.Text, Mode: fmt.Sprintf("%04o", mode)})
	}
	return json.Marshal(wire)
}

func decodeOutcome(r Result) (Outcome, error) {
	var wire wireOutcome
	if err := json.Unmarshal(r.Stdout, &wire); err != nil || wire.Result == "" {
		return Outcome{}, guardError(r)
	}
	return Outcome{
		Result: wire.Result, Generation: wire.Generation, Message: wire.Message, File: wire.File, Line: wire.Line,
		Ours: wire.Ours, Took: time.Duration(wire.Seconds * float64(time.Second)),
	}, nil
}

// guardError explains a guard that gave no outcome.
func guardError(r Result) error {
	said := strings.TrimSpace(string(r.Stderr))
	if strings.Contains(said, "command not found") || strings.Contains(said, "No such file") || r.Exit == 127 {
		return errors.New("the guarded-change program is not installed; provision the server")
	}
	return fmt.Errorf("no outcome, exit status %d: %s", r.Exit, said)
}
