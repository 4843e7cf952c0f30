package ansible

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func marshal(s ssh.Signer) []byte { return ssh.MarshalAuthorizedKey(s.PublicKey()) }

// panelVariable makes the test binary play a panel that is killed in the middle of a play.
const panelVariable = "SERVERPLANE_TEST_PANEL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(panelVariable); dir != "" {
		os.Exit(mortalPanel(dir))
	}
	os.Exit(m.Run())
}

func mortalPanel(dir string) int {
	key, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		return 3
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return 4
	}
	port, _ := strconv.Atoi(os.Getenv("PORT"))
	host := Host{Name: "s1", Address: "127.0.0.1", Port: port, User: "root", HostKey: os.Getenv("HOSTKEY")}
	r := New(Config{Playbooks: os.DirFS(filepath.Join(dir, "playbooks")), Signer: signer, Dir: filepath.Join(dir, "work")})
	play := Play{Run: "run_1", Playbook: "sleep.yml", Hosts: []Host{host}, Vars: map[string]any{"target": filepath.Join(dir, "pid")}}
	if _, err := r.Run(context.Background(), play, nil); err != nil {
		return 5
	}
	return 0
}

func TestAKilledPanelTakesItsAnsibleAlong(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	dir := t.TempDir()
	var key string
	s.signer, key = newKey(t)
	s.authorize(t)
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "playbooks"), testPlaybooks(t)); err != nil {
		t.Fatal(err)
	}
	panel := exec.Command(os.Args[0])
	panel.Env = append(os.Environ(), panelVariable+"="+dir, "PORT="+strconv.Itoa(s.port), "HOSTKEY="+s.hostKey)
	if err := panel.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { panel.Process.Kill(); panel.Wait() })
	waitForPid(t, filepath.Join(dir, "pid"))
	work := filepath.Join(dir, "work")
	living := New(Config{Playbooks: testPlaybooks(t), Signer: s.signer, Dir: work, Log: slog.New(slog.DiscardHandler)})
	if err := living.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(work); len(left) != 1 {
		t.Fatalf("sweeping beside a living panel left %v, want its workspace", left)
	}
	panel.Process.Kill()
	panel.Wait()
	ansibleGone(t, work)
	if err := living.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(work); len(left) != 0 {
		t.Errorf("workspaces left: %v", left)
	}
	if pids := pidsWithPrefix(t, markerVariable+"="+work+"/"); len(pids) != 0 {
		t.Errorf("processes left: %v", pids)
	}
}

// ansibleGone waits until no marked process but ssh's own master, which has left the group, is there.
func ansibleGone(t *testing.T, work string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		others := 0
		for _, pid := range pidsWithPrefix(t, markerVariable+"="+work+"/") {
			if comm, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm")); string(comm) != "ssh\n" {
				others++
			}
		}
		if others == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("ansible outlived its panel by a minute")
}

func TestSweepEndsMarkedProcessesOnly(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	signer, _ := newKey(t)
	r := New(Config{Signer: signer, Dir: work, Log: slog.New(slog.DiscardHandler)})
	stale := filepath.Join(work, "run_1-123")
	if err := os.Mkdir(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	start := func(marker string) *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.Env = []string{markerVariable + "=" + marker}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		return cmd
	}
	ours, longer, elsewhere := start(stale), start(stale+"4"), start("/somewhere/run_1-123")
	dead := make(chan error, 1)
	go func() { dead <- ours.Wait() }()
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-dead; err == nil {
		t.Error("the marked process ended by itself")
	}
	for _, cmd := range []*exec.Cmd{longer, elsewhere} {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("a process of another workspace is gone: %v", err)
		}
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("the stale workspace is there: %v", err)
	}
}
