package ansible

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	varFilesDir = "files_dir" // where Play.Files are
	varRun      = "run"       // Play.Run

	// markerVariable marks ansible and all its children, so that Sweep finds exactly them.
	markerVariable = "SERVERPLANE_WORKSPACE"
	lockFile       = "lock"
	socketsFile    = "sockets"
	// longestTemp leaves room for ssh's temporary name of a control socket: a unix socket's path
	// may have 107 bytes, of which "/spNNNNNNNNNN/c-NNNN" and a random suffix (17) take 37.
	longestTemp = 60
)

// workspace is all one play has on disk: one folder for files, and one with a short name for sockets.
type workspace struct {
	dir     string
	sockets string
	lock    *os.File // flock held while the panel lives; Sweep goes by it
	agent   *agentServer
	hosts   []Host
}

func (r *Runner) newWorkspace(play Play) (*workspace, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	w := &workspace{hosts: play.Hosts}
	if err := w.open(root, play.Run); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if err := w.fill(play, r.config); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *workspace) open(root, run string) error {
	var err error
	if w.dir, err = os.MkdirTemp(root, run+"-"); err != nil {
		return err
	}
	if w.lock, err = lockWorkspace(w.dir); err != nil {
		return err
	}
	temp := os.TempDir()
	if len(temp) > longestTemp {
		temp = "/tmp"
	}
	if w.sockets, err = os.MkdirTemp(temp, "sp"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, socketsFile), []byte(w.sockets), 0o600)
}

// lockWorkspace returns syscall.EWOULDBLOCK while a living panel holds the workspace.
func lockWorkspace(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (w *workspace) fill(play Play, config Config) error {
	if err := copyTree(config.Playbooks, w.path("playbooks")); err != nil {
		return err
	}
	if err := w.writeFiles(play.Files); err != nil {
		return err
	}
	if err := w.writeVars(play); err != nil {
		return err
	}
	if err := w.writeSSH(config.Signer.PublicKey()); err != nil {
		return err
	}
	for _, dir := range []string{"home", "home/tmp"} {
		if err := os.Mkdir(w.path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(w.path("ansible.cfg"), []byte(ansibleConfig), 0o600); err != nil {
		return err
	}
	var err error
	w.agent, err = serveAgent(w.agentSocket(), config.Signer)
	return err
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }
func (w *workspace) agentSocket() string     { return filepath.Join(w.sockets, "agent") }

// copyTree writes folders 0700 and files 0600, whatever the source says: embedded files have no modes.
func copyTree(source fs.FS, target string) error {
	return fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := filepath.Join(target, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(place, 0o700)
		}
		content, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		return os.WriteFile(place, content, 0o600)
	})
}

func (w *workspace) writeFiles(files []File) error {
	if err := os.Mkdir(w.path("files"), 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.write(filepath.Join(w.path("files"), f.Name)); err != nil {
			return fmt.Errorf("placing %s: %w", f.Name, err)
		}
	}
	return nil
}

func (f File) write(path string) error {
	if f.Open == nil {
		return os.WriteFile(path, f.Content, 0o600)
	}
	source, err := f.Open()
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// writeVars writes inventory and variables as JSON, which Ansible reads as data.
func (w *workspace) writeVars(play Play) error {
	hosts := make(map[string]map[string]any, len(play.Hosts))
	for i, h := range play.Hosts {
		vars := map[string]any{"ansible_ssh_args": w.sshArguments(i)}
		for name, value := range h.Vars {
			vars[name] = value
		}
		hosts[h.Name] = vars
	}
	inventory := map[string]any{"all": map[string]any{"hosts": hosts}}
	vars := map[string]any{varFilesDir: w.path("files"), varRun: play.Run}
	for name, value := range play.Vars {
		vars[name] = value
	}
	return errors.Join(writeJSON(w.path("inventory.json"), inventory), writeJSON(w.path("vars.json"), vars))
}

func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (w *workspace) writeSSH(key ssh.PublicKey) error {
	config, known, err := sshFiles(w.dir, w.sockets, w.hosts)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(w.path("ssh_config"), config, 0o600),
		os.WriteFile(w.path("known_hosts"), known, 0o600),
		os.WriteFile(w.path("key.pub"), ssh.MarshalAuthorizedKey(key), 0o600),
	)
}

// close ends the held connections, takes the key away and removes both folders. It may be called on a
// workspace that was only partly made.
func (w *workspace) close() error {
	w.exitMasters()
	if w.agent != nil {
		w.agent.Close()
	}
	var errs []error
	for _, dir := range []string{w.sockets, w.dir} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	if w.lock != nil {
		errs = append(errs, w.lock.Close())
	}
	return errors.Join(errs...)
}

// exitMasters asks each ssh master to end; one that does not is ended by its own ControlPersist limit.
func (w *workspace) exitMasters() {
	if w.sockets == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	masters, _ := filepath.Glob(filepath.Join(w.sockets, "c-*"))
	for _, socket := range masters {
		cmd := exec.CommandContext(ctx, "ssh", "-F", "/dev/null", "-o", "ControlPath="+socket, "-O", "exit", "master")
		_ = cmd.Run()
	}
}
