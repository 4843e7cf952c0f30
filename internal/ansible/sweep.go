package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sweep ends what a panel process that died left running and removes its workspaces. A workspace of a
// living panel (it holds the workspace's lock) is left alone, as is every process that does not carry
// the exact path of a dead workspace under Dir in its environment. Call it when the panel starts.
func (r *Runner) Sweep(ctx context.Context) error {
	root, err := r.root()
	if err != nil {
		return fmt.Errorf("sweeping ansible workspaces: %w", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("sweeping ansible workspaces: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() {
			errs = append(errs, r.sweepOne(ctx, filepath.Join(root, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

func (r *Runner) sweepOne(ctx context.Context, dir string) error {
	lock, err := lockWorkspace(dir)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("taking over workspace %s: %w", dir, err)
	}
	if err := endMarked(ctx, dir); err != nil {
		return errors.Join(err, lock.Close())
	}
	r.config.Log.Info("removing the ansible workspace of a panel that died", "dir", dir)
	w := &workspace{dir: dir, lock: lock, sockets: recordedSockets(dir)}
	return w.close()
}

// recordedSockets believes the record only if it names a folder such as open makes.
func recordedSockets(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, socketsFile))
	if err != nil {
		return ""
	}
	path := string(text)
	parent := filepath.Dir(path)
	if parent != os.TempDir() && parent != "/tmp" || !strings.HasPrefix(filepath.Base(path), "sp") {
		return ""
	}
	return path
}

// endMarked kills the marked processes until none is left: a dying one may have started another.
func endMarked(ctx context.Context, dir string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		pids, err := marked(dir)
		if err != nil {
			return fmt.Errorf("looking for processes of workspace %s: %w", dir, err)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func marked(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	want := []byte(markerVariable + "=" + dir)
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if carries(pid, want) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// carries is false for a process that ended meanwhile or belongs to another user.
func carries(pid int, want []byte) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for _, variable := range bytes.Split(environ, []byte{0}) {
		if bytes.Equal(variable, want) {
			return true
		}
	}
	return false
}
