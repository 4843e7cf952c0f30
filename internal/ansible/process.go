package ansible

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stderrTail bounds what of ansible's standard error is kept for an error.
const stderrTail = 8 << 10

// process is one ansible-playbook in a process group of its own.
type process struct {
	binary    string
	workspace *workspace
	playbook  string
	grace     time.Duration
	each      func(wireEvent)
	stderr    tailBuffer
}

// run starts the process, hands its events on and waits for its end. Descriptor 3 of the child is the
// event stream, 4 the end of a pipe only the panel holds open: when the panel dies, however, the
// callback plugin reads its end there and kills the group.
func (p *process) run(ctx context.Context) error {
	events, eventsChild, err := os.Pipe()
	if err != nil {
		return err
	}
	defer events.Close()
	aliveChild, alive, err := os.Pipe()
	if err != nil {
		return errors.Join(err, eventsChild.Close())
	}
	defer alive.Close()
	cmd := p.command(eventsChild, aliveChild)
	ended := start(cmd, eventsChild, aliveChild)
	if err := <-ended; err != nil {
		return err
	}
	stopped := make(chan struct{})
	go p.watch(ctx, cmd.Process.Pid, stopped)
	defer close(stopped)
	eventsErr := p.drain(events, cmd.Process.Pid)
	return errors.Join(eventsErr, <-ended)
}

// drain kills the group when the stream is broken: a child blocked on writing events would never end.
func (p *process) drain(events *os.File, group int) error {
	err := readEvents(events, p.each)
	if err != nil {
		signalGroup(group, syscall.SIGKILL)
	}
	return err
}

func (p *process) command(events, alive *os.File) *exec.Cmd {
	w := p.workspace
	cmd := exec.Command(p.binary, "--inventory", w.path("inventory.json"), "--extra-vars", "@"+w.path("vars.json"), p.playbook)
	cmd.Dir = w.path("playbooks")
	cmd.Env = w.environment()
	cmd.Stderr = &p.stderr
	cmd.ExtraFiles = []*os.File{events, alive}
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	return cmd
}

// start sends the result of starting and, if that was nil, later that of waiting. Both happen on one
// locked thread: the kernel sends Pdeathsig when the thread that started the child ends.
func start(cmd *exec.Cmd, childEnds ...*os.File) <-chan error {
	result := make(chan error, 2)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		for _, f := range childEnds {
			f.Close()
		}
		result <- err
		if err == nil {
			result <- cmd.Wait()
		}
	}()
	return result
}

// watch ends the group when ctx ends: politely, then after the grace for good.
func (p *process) watch(ctx context.Context, group int, stopped <-chan struct{}) {
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	signalGroup(group, syscall.SIGINT)
	select {
	case <-stopped:
	case <-time.After(p.grace):
	}
	signalGroup(group, syscall.SIGKILL)
}

// signalGroup ignores an error: the group being gone is what is wanted.
func signalGroup(group int, signal syscall.Signal) { _ = syscall.Kill(-group, signal) }

func (p *process) tail() string {
	text := strings.TrimSpace(p.stderr.String())
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %s", text)
}

// tailBuffer keeps the last bytes written to it.
type tailBuffer struct{ content []byte }

func (t *tailBuffer) Write(b []byte) (int, error) {
	t.content = append(t.content, b...)
	if over := len(t.content) - stderrTail; over > 0 {
		t.content = append(t.content[:0], t.content[over:]...)
	}
	return len(b), nil
}

func (t *tailBuffer) String() string { return strings.ToValidUTF8(string(t.content), "�") }
