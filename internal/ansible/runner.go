// Package ansible carries out plays: it turns a Play, which is plain data, into one ansible-playbook
// process in a workspace of its own, reports what happens as Events, and leaves nothing behind.
//
// It decides nothing: which servers, in which order and what a failure means is its caller's business.
// Nothing of the machine's own Ansible set-up (environment, ansible.cfg, known_hosts, keys) has a say.
package ansible

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config is what a Runner needs.
type Config struct {
	Playbooks fs.FS        // playbooks, roles/, callback/ and what they use
	Signer    ssh.Signer   // the panel's key; lent through an agent, never written to disk
	Dir       string       // parent of workspaces; created 0700
	Binary    string       // ansible-playbook; empty means the one found in PATH
	Log       *slog.Logger // nil means slog.Default
	// StopGrace is how long a cancelled play may take to end before it is killed; 0 means 10 s.
	StopGrace time.Duration
}

// Runner carries out plays. It is safe for use by several goroutines.
type Runner struct{ config Config }

// New returns a Runner; it touches nothing until Run or Sweep.
func New(config Config) *Runner {
	if config.Binary == "" {
		config.Binary = "ansible-playbook"
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	if config.StopGrace <= 0 {
		config.StopGrace = 10 * time.Second
	}
	return &Runner{config: config}
}

// Run carries out one play and blocks until it has ended and its workspace is gone. each is called for
// every event, in order, never concurrently; it may be nil.
//
// A host that failed is told in the Outcome, not as an error. So is a cancelled ctx (Cancelled): then
// ansible has been ended, but a command still running on a server is not: long ones must be units that
// the caller stops by name. An error means the play was refused or not carried to its end (not
// installed, syntax error, killed) and holds the end of what ansible wrote to standard error.
func (r *Runner) Run(ctx context.Context, play Play, each func(Event)) (Outcome, error) {
	if err := play.Validate(); err != nil {
		return Outcome{}, err
	}
	binary, err := exec.LookPath(r.config.Binary)
	if err != nil {
		return Outcome{}, fmt.Errorf("looking for ansible-playbook (Debian package ansible-core): %w", err)
	}
	w, err := r.newWorkspace(play)
	if err != nil {
		return Outcome{}, fmt.Errorf("preparing the workspace of run %s: %w", play.Run, err)
	}
	defer r.close(w)
	return r.play(ctx, w, binary, play, each)
}

func (r *Runner) play(ctx context.Context, w *workspace, binary string, play Play, each func(Event)) (Outcome, error) {
	t := newTally()
	p := process{
		binary: binary, workspace: w, playbook: play.Playbook, grace: r.config.StopGrace,
		each: func(e wireEvent) {
			t.add(e)
			if each != nil {
				each(e.event())
			}
		},
	}
	err := p.run(ctx)
	switch {
	case ctx.Err() != nil && !t.finished():
		return t.outcome(play.Hosts, true), nil
	case t.finished():
		return t.outcome(play.Hosts, false), nil
	case err == nil:
		err = fmt.Errorf("it reported no result")
	}
	return Outcome{}, fmt.Errorf("running ansible-playbook %s: %w%s", play.Playbook, err, p.tail())
}

func (r *Runner) close(w *workspace) {
	if err := w.close(); err != nil {
		r.config.Log.Warn("removing an ansible workspace", "dir", w.dir, "error", err)
	}
}

// root is the parent of workspaces with links resolved: Sweep compares it with what processes carry.
func (r *Runner) root() (string, error) {
	if err := os.MkdirAll(r.config.Dir, 0o700); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(r.config.Dir)
	if err != nil {
		return "", err
	}
	abs, err = filepath.EvalSymlinks(abs)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(abs, "\n\"':%{}") {
		return "", fmt.Errorf("folder %q: a workspace path may not hold quotes, colons, braces or %%", abs)
	}
	return abs, nil
}
