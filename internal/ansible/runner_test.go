package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

const secretValue = "hush-4711-hush"

const storyPlaybook = `
- hosts: all
  gather_facts: false
  tasks:
    - name: says
      ansible.builtin.command: {argv: [echo, "{{ text }}"]}
    - name: unchanged
      ansible.builtin.command: {argv: ["true"]}
      changed_when: false
    - name: items
      ansible.builtin.command: {argv: [echo, "{{ item }}"]}
      loop: [one, two]
    - name: hides
      ansible.builtin.command: {argv: [echo, "{{ secret }}"]}
      no_log: true
    - name: hides items
      ansible.builtin.command: {argv: [echo, "{{ item }}"]}
      loop: ["{{ secret }}"]
      no_log: true
    - name: places
      ansible.builtin.copy: {src: "{{ files_dir }}/note", dest: "{{ target }}", mode: "0600"}
    - name: much
      ansible.builtin.command: {argv: [/usr/bin/python3, -c, "print('x' * 200000 + 'END')"]}
      changed_when: false
    - name: what ps shows
      ansible.builtin.command: {argv: [ps, -eo, args, -ww]}
      changed_when: false
    - name: keeps arguments out of the journal
      ansible.builtin.debug: {msg: "no_target_syslog {{ lookup('ansible.builtin.config', 'DEFAULT_NO_TARGET_SYSLOG') }}"}
    - name: tries again
      ansible.builtin.command: {argv: ["false"]}
      register: r
      until: r.rc == 0
      retries: 1
      delay: 0
      when: fails
    - name: never
      ansible.builtin.command: {argv: ["true"]}
      when: false
`

const failPlaybook = `
- hosts: all
  gather_facts: false
  tasks:
    - name: breaks
      ansible.builtin.command: {argv: [sh, -c, "echo out; echo first >&2; echo reason >&2; exit 7"]}
`

const sleepPlaybook = `
- hosts: all
  gather_facts: false
  tasks:
    - name: sleeps
      ansible.builtin.command: {argv: [sh, -c, "echo $$ > {{ target }}; exec sleep 600"]}
`

// testPlaybooks joins throwaway playbooks with the real callback plugin.
func testPlaybooks(t *testing.T) fs.FS {
	t.Helper()
	plugin, err := os.ReadFile("../../playbooks/callback/serverplane_events.py")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"callback/serverplane_events.py": {Data: plugin},
		"roles/none":                     {Data: nil},
		"story.yml":                      {Data: []byte(storyPlaybook)},
		"fail.yml":                       {Data: []byte(failPlaybook)},
		"sleep.yml":                      {Data: []byte(sleepPlaybook)},
		"broken.yml":                     {Data: []byte("- hosts: all\n  tasks:\n    - nosuchmodule: {}\n")},
	}
}

type rig struct {
	*Runner
	sshd *sshd
	dir  string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Fatalf("ansible-playbook is missing: run `make setup`: %v", err)
	}
	s := startSSHD(t)
	dir := filepath.Join(t.TempDir(), "work")
	r := New(Config{Playbooks: testPlaybooks(t), Signer: s.signer, Dir: dir, Log: slog.New(slog.DiscardHandler), StopGrace: 3 * time.Second})
	return &rig{Runner: r, sshd: s, dir: dir}
}

func (r *rig) play(playbook string, hosts ...Host) Play {
	return Play{Run: "run_test", Playbook: playbook, Hosts: hosts}
}

// empty fails the test if a workspace, or a process of one, is left.
func (r *rig) empty(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(r.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("workspaces left: %v %v", left, err)
	}
	for _, pid := range pidsWithPrefix(t, markerVariable+"="+r.dir+"/") {
		t.Errorf("process %d of a workspace is left", pid)
	}
}

func pidsWithPrefix(t *testing.T, prefix string) []int {
	t.Helper()
	var found []int
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		for _, v := range bytes.Split(environ, []byte{0}) {
			if strings.HasPrefix(string(v), prefix) {
				found = append(found, pid)
			}
		}
	}
	return found
}

// told collects events by kind and task.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (o *told) add(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

func (o *told) find(t *testing.T, kind, host, task string) Event {
	t.Helper()
	for _, e := range o.events {
		if e.Kind == kind && e.Host == host && e.Task == task {
			return e
		}
	}
	t.Fatalf("no event %s of %s, task %q, in %+v", kind, host, task, o.events)
	return Event{}
}

func TestRunTellsWhatHappened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wrongPort, changedKey := r.sshd.host("away"), r.sshd.host("swapped")
	wrongPort.Port = freePort(t)
	other, _ := newKey(t)
	changedKey.HostKey = "ssh-ed25519 " + strings.Fields(string(marshal(other)))[1]
	fails := r.sshd.host("fails")
	fine := r.sshd.host("fine")
	target := filepath.Join(t.TempDir(), "note")
	fine.Vars = map[string]any{"fails": false, "target": target}
	fails.Vars = map[string]any{"fails": true, "target": target + "2"}
	play := r.play("story.yml", fine, fails, wrongPort, changedKey)
	play.Vars = map[string]any{"text": `a "b" 'c' 50% \`, "secret": secretValue}
	play.Files = []File{{Name: "note", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello {{ x }}")), nil }}}

	var events told
	outcome, err := r.Run(t.Context(), play, events.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("each host's end", func(t *testing.T) { checkEnds(t, outcome) })
	t.Run("events", func(t *testing.T) { checkEvents(t, &events) })
	t.Run("files", func(t *testing.T) {
		if text, err := os.ReadFile(target); err != nil || string(text) != "hello {{ x }}" {
			t.Errorf("placed %q, %v", text, err)
		}
	})
	t.Run("secrets", func(t *testing.T) {
		if text := fmt.Sprintf("%+v %+v", events.events, outcome); strings.Contains(text, secretValue) {
			t.Error("a value handled with no_log is in an event, or in a process list")
		}
	})
	t.Run("nothing is left", r.empty)
}

func checkEnds(t *testing.T, o Outcome) {
	if h := o.Hosts["fine"]; !h.OK {
		t.Errorf("fine: %+v", h)
	}
	if h := o.Hosts["fails"]; h.OK || h.Unreachable || h.Task != "tries again" {
		t.Errorf("fails: %+v", h)
	}
	// When ssh has ended before Ansible wrote to it, which a busy machine makes likely, Ansible tells of that instead.
	h := o.Hosts["away"]
	told := strings.Contains(h.Message, "Connection refused") || strings.Contains(h.Message, "could not be sent to remote host")
	if h.OK || !h.Unreachable || !told {
		t.Errorf("away: %+v", h)
	}
	if h := o.Hosts["swapped"]; h.OK || !h.Unreachable || !strings.Contains(h.Message, "Host key verification failed") {
		t.Errorf("swapped: %+v", h)
	}
	if len(o.Failed()) != 3 || o.Cancelled {
		t.Errorf("failed %v, cancelled %v", o.Failed(), o.Cancelled)
	}
}

func checkEvents(t *testing.T, events *told) {
	says := events.find(t, "changed", "fine", "says")
	if says.Stdout != `a "b" 'c' 50% \` || says.Exit == nil || *says.Exit != 0 || says.Duration <= 0 || time.Since(says.Time) > time.Minute {
		t.Errorf("says: %+v", says)
	}
	events.find(t, "ok", "fine", "unchanged")
	events.find(t, "skipped", "fine", "never")
	events.find(t, "retry", "fails", "tries again")
	events.find(t, "unreachable", "away", "says")
	if item := events.find(t, "item", "fine", "items"); item.Message != "one" || item.Stdout != "one" {
		t.Errorf("item: %+v", item)
	}
	if hidden := events.find(t, "changed", "fine", "hides"); !strings.Contains(hidden.Message, "hidden") || hidden.Stdout != "" {
		t.Errorf("hides: %+v", hidden)
	}
	if much := events.find(t, "ok", "fine", "much").Stdout; len(much) != 64<<10 || !strings.HasSuffix(much, "xEND") {
		t.Errorf("much: %d bytes", len(much))
	}
	if e := events.find(t, "ok", "fine", "keeps arguments out of the journal"); e.Message != "no_target_syslog True" {
		t.Errorf("modules write their arguments to the server's journal: %q", e.Message)
	}
	if last := events.events[len(events.events)-1]; last.Kind != "stats" {
		t.Errorf("the last event is %q", last.Kind)
	}
}

func TestAFailedHostIsNoError(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var events told
	outcome, err := r.Run(t.Context(), r.play("fail.yml", r.sshd.host("s1")), events.add)
	if err != nil {
		t.Fatal(err)
	}
	want := HostResult{Task: "breaks", Message: "reason", Stdout: "out", Stderr: "first\nreason"}
	if got := outcome.Hosts["s1"]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if e := events.find(t, "failed", "s1", "breaks"); e.Exit == nil || *e.Exit != 7 {
		t.Errorf("event %+v", e)
	}
}

func TestRunWithoutAPossibleEndIsAnError(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.Run(t.Context(), r.play("broken.yml", r.sshd.host("s1")), nil); err == nil || !strings.Contains(err.Error(), "nosuchmodule") {
		t.Errorf("syntax error: %v", err)
	}
	if _, err := r.Run(t.Context(), r.play("absent.yml", r.sshd.host("s1")), nil); err == nil || !strings.Contains(err.Error(), "absent.yml") {
		t.Errorf("absent playbook: %v", err)
	}
	missing := New(Config{Playbooks: testPlaybooks(t), Signer: r.sshd.signer, Dir: r.dir, Binary: "/nonexistent/ansible-playbook"})
	if _, err := missing.Run(t.Context(), r.play("fail.yml", r.sshd.host("s1")), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ansible missing: %v", err)
	}
	play := r.play("fail.yml", r.sshd.host("s1"))
	play.Vars = map[string]any{"x": "{{ 1 }}"}
	if _, err := r.Run(t.Context(), play, nil); err == nil {
		t.Error("text that would be templated is accepted")
	}
	r.empty(t)
}

// sleeping starts the endless play and returns once its command runs, with the command's pid.
func (r *rig) sleeping(t *testing.T, ctx context.Context) (pid int, ended <-chan Outcome) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "pid")
	play := r.play("sleep.yml", r.sshd.host("s1"))
	play.Vars = map[string]any{"target": target}
	done := make(chan Outcome, 1)
	go func() {
		outcome, err := r.Run(ctx, play, nil)
		if err != nil {
			t.Error(err)
		}
		done <- outcome
	}()
	return waitForPid(t, target), done
}

func waitForPid(t *testing.T, path string) int {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		text, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && strings.HasSuffix(string(text), "\n") {
			t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the remote command was not started")
	return 0
}

func TestCancelEndsAnsible(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, ended := r.sleeping(t, ctx)
	cancel()
	outcome := <-ended
	if !outcome.Cancelled || outcome.Hosts["s1"].OK {
		t.Errorf("got %+v", outcome)
	}
	r.empty(t)
}
