package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
)

// play carries out one play, writes what happens into the Run's log, and fails
// when any of its servers did.
func (j *job) play(ctx context.Context, p ansible.Play) error {
	failed, err := j.playEach(ctx, p)
	return errors.Join(err, joined(failed))
}

// playEach tells of failures by the server's name; the error is one of the play
// as a whole.
func (j *job) playEach(ctx context.Context, p ansible.Play) (map[string]error, error) {
	out, err := j.Player.Run(ctx, p, j.record)
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, fmt.Errorf("carry out %s: %w", p.Playbook, err)
	}
	failed := map[string]error{}
	for _, name := range out.Failed() {
		failed[name] = hostError(name, out.Hosts[name])
	}
	return failed, nil
}

// lastLines is how much of a failed command's output an error carries.
const lastLines = 40

func hostError(name string, r ansible.HostResult) error {
	if r.Unreachable {
		return fmt.Errorf("%s cannot be reached: %s", name, firstLine(r.Message))
	}
	text := fmt.Sprintf("%s: %s: %s", name, r.Task, strings.TrimSpace(r.Message))
	if said := lastOf(withoutReceipt(r.Stdout)+"\n"+r.Stderr, lastLines); said != "" {
		text += "\n" + said
	}
	return errors.New(text)
}

func lastOf(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// record turns what Ansible did into lines of the log.
func (j *job) record(e ansible.Event) {
	line := plane.Event{Server: e.Host, Step: j.run.Step}
	j.heard[e.Host] = j.Now().UTC()
	switch e.Kind {
	case "ok", "changed":
		line.Kind, line.Text = plane.EventTask, e.Task+": "+e.Kind
		j.journal.add(line)
		j.output(e)
	case "failed", "unreachable":
		line.Kind, line.Text = plane.EventTask, e.Task+": "+e.Kind+": "+firstLine(e.Message)
		j.journal.add(line)
		j.output(e)
	case "retry":
		line.Kind, line.Text = plane.EventTask, e.Task+": tries again"
		j.journal.add(line)
	case "log":
		line.Kind, line.Text = plane.EventLog, e.Message
		j.journal.add(line)
	}
}

func (j *job) output(e ansible.Event) {
	for _, text := range []string{e.Stdout, e.Stderr} {
		for l := range strings.Lines(text) {
			if j.receive(e.Host, l) || j.learn(e.Host, l) {
				continue
			}
			j.journal.add(plane.Event{Kind: plane.EventOutput, Server: e.Host, Step: j.run.Step, Text: strings.TrimRight(l, "\r\n")})
		}
	}
}
