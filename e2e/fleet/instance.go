package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Instance is what one fleet notes about itself for others to read: `list` shows it, and New clears away after it when
// its owner has died.
type Instance struct {
	ID      string       `json:"id"`
	Owner   int          `json:"owner"` // process id
	Prefix  netip.Prefix `json:"prefix"`
	Servers []Entry      `json:"servers"`
	Dead    bool         `json:"-"` // the owner is gone; Reap clears it away
	folder  string
}

// Entry is one server in an Instance.
type Entry struct {
	Name    string     `json:"name"`
	Addr    netip.Addr `json:"addr"`
	SSH     string     `json:"ssh"`     // a command line for a person
	Console string     `json:"console"` // the file with what the server printed
}

// newID is short, as interface names are: 20 bits are plenty for the fleets of one machine, and a clash is refused by mkdir.
func newID() string {
	return strings.ToLower(rand.Text()[:5])
}

// holdAll takes the lock under which fleets come and go.
func holdAll(cache string) (*os.File, error) {
	lock, err := lockFile(filepath.Join(cache, "instances.lock"), syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("waiting for other fleets: %w", err)
	}
	return lock, nil
}

// List tells the fleets of this cache, living and dead.
func List(config Config) ([]Instance, error) {
	cache, err := config.cache()
	if err != nil {
		return nil, err
	}
	folders, err := filepath.Glob(filepath.Join(cache, "instances", "*"))
	if err != nil {
		return nil, err
	}
	var all []Instance
	for _, folder := range folders {
		all = append(all, readInstance(folder))
	}
	return all, nil
}

// readInstance reads what can be read: a crash may have come before the first note, and the folder's name is the id.
func readInstance(folder string) Instance {
	i := Instance{ID: filepath.Base(folder)}
	if text, err := os.ReadFile(filepath.Join(folder, "instance.json")); err == nil {
		_ = json.Unmarshal(text, &i)
	}
	i.ID, i.folder = filepath.Base(folder), folder
	lock, err := lockFile(filepath.Join(folder, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		i.Dead = true
		lock.Close()
	}
	return i
}

func (i Instance) write() error {
	text, err := json.MarshalIndent(i, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(i.folder, "instance.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Reap clears away what dead fleets have left and returns their ids.
func Reap(ctx context.Context, config Config) ([]string, error) {
	cache, err := config.cache()
	if err != nil {
		return nil, err
	}
	all, err := holdAll(cache)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	return reap(ctx, config, cache)
}

// reap does Reap's work; the caller holds the lock of all instances.
func reap(ctx context.Context, config Config, cache string) ([]string, error) {
	instances, err := List(config)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, i := range instances {
		if !i.Dead {
			continue
		}
		config.logf("clearing away fleet %s, whose process %d is gone", i.ID, i.Owner)
		if err := clear(ctx, i.folder); err != nil {
			return gone, fmt.Errorf("clearing away fleet %s: %w", i.ID, err)
		}
		gone = append(gone, i.ID)
	}
	if len(gone) == len(instances) {
		return gone, restoreForwarding(cache)
	}
	return gone, nil
}

// clear ends and removes all of one fleet: processes, mounts, network, groups, folder. Everything is found by the
// instance's folder or id, never by a name that somebody else could bear.
func clear(ctx context.Context, folder string) error {
	id := filepath.Base(folder)
	if err := killServers(ctx, folder); err != nil {
		return err
	}
	roots, _ := filepath.Glob(filepath.Join(folder, "servers", "*", "root"))
	for _, root := range roots {
		removeLock(root)
	}
	removePropagation(id + "-*")
	if err := unmountAll(folder); err != nil {
		return err
	}
	if err := networkDown(ctx, id); err != nil {
		return err
	}
	removeGroups(id)
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing the fleet's folder: %w", err)
	}
	return nil
}

// removeLock removes the lock file that a killed systemd-nspawn leaves, named after its root folder's device and inode.
func removeLock(root string) {
	var stat syscall.Stat_t
	if err := syscall.Stat(root, &stat); err == nil {
		_ = os.Remove(fmt.Sprintf("/run/systemd/nspawn/locks/inode-%d:%d", stat.Dev, stat.Ino))
	}
}

// removePropagation removes the folder that systemd-nspawn makes per machine and leaves where /run is on a disk.
func removePropagation(machine string) {
	folders, _ := filepath.Glob("/run/systemd/nspawn/*/" + machine)
	for _, folder := range folders {
		_ = os.RemoveAll(folder)
	}
}

// killServers cuts the power of every server whose root is in the folder, and waits until they are gone.
func killServers(ctx context.Context, folder string) error {
	for {
		found, err := nspawns(folder)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, pid := range found {
			killServer(pid, folder)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for killed servers %v: %w", found, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// nspawns finds the running systemd-nspawn processes whose --directory is in the folder.
func nspawns(folder string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, entry := range entries {
		var pid int
		if _, err := fmt.Sscanf(entry.Name(), "%d", &pid); err == nil && isServer(pid, folder) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// isServer tells whether the process is a systemd-nspawn with its root in the folder. A process that has ended but was
// not waited for has an empty command line, and so is not.
func isServer(pid int, folder string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	args := strings.Split(string(line), "\x00")
	return strings.HasSuffix(args[0], "systemd-nspawn") && slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "--directory="+folder+"/")
	})
}

// killServer cuts one server's power: its first process, with which the kernel ends all others at once, and then
// systemd-nspawn. Handles instead of numbers make sure that no other process is meant.
func killServer(pid int, folder string) {
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(handle)
	if !isServer(pid, folder) {
		return
	}
	for _, child := range children(pid) {
		first, err := unix.PidfdOpen(child, 0)
		if err != nil {
			continue
		}
		if slices.Contains(children(pid), child) {
			_ = unix.PidfdSendSignal(first, unix.SIGKILL, nil, 0)
		}
		unix.Close(first)
	}
	_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0)
}

func children(pid int) []int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var found []int
	for _, word := range strings.Fields(string(text)) {
		var child int
		if _, err := fmt.Sscanf(word, "%d", &child); err == nil {
			found = append(found, child)
		}
	}
	return found
}

// unmountAll takes off every mount under the folder, the newest first.
func unmountAll(folder string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) > 4 && strings.HasPrefix(words[4], folder+"/") {
			points = append(points, words[4])
		}
	}
	slices.Reverse(points)
	for _, point := range points {
		if err := unmount(point); err != nil {
			return err
		}
	}
	return nil
}

// unmount takes one mount off; a dying server may hold it for a moment.
func unmount(point string) error {
	var err error
	for range 200 {
		if err = unix.Unmount(point, 0); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the kernel tells nobody when the last user is gone
	}
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmounting %s: %w", point, err)
	}
	return nil
}
