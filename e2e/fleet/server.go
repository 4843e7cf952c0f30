package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processLimit bounds processes and threads of one server.
const processLimit = 2048

// Server is one real Debian. It exists until Remove, whether it runs or not.
type Server struct {
	Name    string
	Addr    netip.Addr
	Late    netip.Addr // a second address that appears some time after each boot, if the spec asked for one
	KeyFile string     // private key for root, for ssh -i

	fleet      *Fleet
	machine    string   // systemd-nspawn's name for it
	folder     string   // upper, work, root, console.log
	layers     []string // read-only layers below upper, the topmost first
	memory     int64
	docker     bool   // Docker can work in it
	disk       int64  // bytes it can write; 0: no limit
	knownHosts string // its lines for the fleet's known hosts

	process *exec.Cmd
	ended   chan struct{} // closed when process is gone; nil if never booted
}

func (s *Server) path(parts ...string) string {
	return filepath.Join(append([]string{s.folder}, parts...)...)
}

// Root is the server's file system as seen from this machine; look at it, but change it only while the server is off.
func (s *Server) Root() string { return s.path("root") }

func (s *Server) console() string { return s.path("console.log") }

// port is the server's port on the bridge; systemd-nspawn names it so.
func (s *Server) port() string { return "vb-" + s.machine }

// Console returns what the server printed at its boots.
func (s *Server) Console() string {
	text, _ := os.ReadFile(s.console())
	return string(text)
}

// broken wraps an error with the end of the console and where all of it is.
func (s *Server) broken(doing string, err error) error {
	return fmt.Errorf("%s server %s (%s): %w; console %s ends: %s", doing, s.Name, s.Addr, err, s.console(), tail(s.Console(), 1500))
}

// prepare makes the server's file system and identity.
func (s *Server) prepare(ctx context.Context, spec Spec) error {
	if err := s.fleet.lendPackages(s); err != nil {
		return err
	}
	if err := s.mount(); err != nil {
		return err
	}
	if err := s.prepareLate(spec.Late); err != nil {
		return err
	}
	if err := s.prepareDocker(); err != nil {
		return err
	}
	public, err := os.ReadFile(s.KeyFile + ".pub")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"etc/hostname":              s.Name + "\n",
		"etc/hosts":                 fmt.Sprintf("127.0.0.1 localhost\n%s %s\n::1 localhost ip6-localhost\n", s.Addr, s.Name),
		"etc/fleet/network":         fmt.Sprintf("ADDRESS=%s/24\nGATEWAY=%s\n", s.Addr, s.fleet.Gateway()),
		"root/.ssh/authorized_keys": string(public),
	} {
		if err := writeFile(filepath.Join(s.Root(), name), text, 0o644); err != nil {
			return err
		}
	}
	if spec.From == nil || !spec.KeepIdentity {
		if err := s.newIdentity(ctx); err != nil {
			return err
		}
	}
	return s.readHostKeys()
}

// newIdentity gives the server its own host keys, and lets systemd make a machine id at the next boot.
func (s *Server) newIdentity(ctx context.Context) error {
	old, _ := filepath.Glob(filepath.Join(s.Root(), "etc/ssh/ssh_host_*"))
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(s.Root(), "etc/machine-id"), "", 0o444); err != nil {
		return err
	}
	// The three that Debian makes; a short RSA key, as the usual one takes most of a second.
	for _, kind := range [][]string{{"-t", "rsa", "-b", "2048"}, {"-t", "ecdsa"}, {"-t", "ed25519"}} {
		file := filepath.Join(s.Root(), "etc/ssh/ssh_host_"+kind[1]+"_key")
		args := append([]string{"-q", "-N", "", "-C", "root@" + s.Name, "-f", file}, kind...)
		if _, err := tool(ctx, "", "ssh-keygen", args...); err != nil {
			return fmt.Errorf("making host keys: %w", err)
		}
	}
	return nil
}

func (s *Server) readHostKeys() error {
	files, err := filepath.Glob(filepath.Join(s.Root(), "etc/ssh/ssh_host_*_key.pub"))
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("no host keys in %s", s.Root()), err)
	}
	s.knownHosts = ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		words := strings.Fields(string(text))
		s.knownHosts += fmt.Sprintf("%s %s %s\n", s.Addr, words[0], words[1])
	}
	return nil
}

// mount lays the server's own folder over its layers. The work folder is made anew: the kernel refuses one that was in use
// with the option volatile, which spares the disk every fsync; a power cut here loses no page of the machine's memory.
func (s *Server) mount() error {
	if err := s.limitDisk(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.work()); err != nil {
		return err
	}
	for _, dir := range []string{s.upper(), s.work(), s.Root()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(s.layers, ":"), s.upper(), s.work())
	err := unix.Mount("overlay", s.Root(), "overlay", 0, options+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", s.Root(), "overlay", 0, options)
	}
	if err != nil {
		return fmt.Errorf("mounting %s: %w", s.Root(), err)
	}
	return nil
}

// Running tells whether the server has power.
func (s *Server) Running() bool {
	if s.ended == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// Boot gives the server power and waits until it answers SSH.
func (s *Server) Boot(ctx context.Context) error {
	if err := s.PowerOn(); err != nil {
		return err
	}
	return s.WaitSSH(ctx)
}

// PowerOn gives the server power and returns at once.
func (s *Server) PowerOn() error {
	if s.Running() {
		return fmt.Errorf("server %s is running", s.Name)
	}
	joins, err := makeGroups(s.machine, s.memory, processLimit, s.docker)
	if err != nil {
		return err
	}
	console, err := os.OpenFile(s.console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	// The shell joins the groups and becomes systemd-nspawn; it has its own session, so that Ctrl-C does not reach it.
	args := append([]string{"-c", joinGroups, "sh"}, joins...)
	args = append(append(args, "--"), s.bootCommand()...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	if err := cmd.Start(); err != nil {
		return s.broken("booting", err)
	}
	s.process, s.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.ended)
	return nil
}

const joinGroups = `while [ "$1" != -- ]; do echo $$ >"$1" || exit 1; shift; done; shift; exec "$@"`

// bootCommand runs systemd in namespaces of its own. The two groups of system calls are for Docker inside.
func (s *Server) bootCommand() []string {
	return []string{"systemd-nspawn", "--quiet", "--boot", "--settings=no", "--register=no", "--keep-unit",
		"--directory=" + s.Root(), "--machine=" + s.machine, "--hostname=" + s.Name,
		"--network-bridge=" + bridgeName(s.fleet.ID),
		"--capability=all", "--system-call-filter=@keyring bpf",
		"--rlimit=NOFILE=1024:524288", // as on a machine whose first process is systemd; ours may have less
		"--link-journal=no", "--resolv-conf=off", "--timezone=off"}
}

// WaitSSH waits until the server answers SSH as itself. It fails at once if the server loses its power.
func (s *Server) WaitSSH(ctx context.Context) error {
	for {
		if s.greets() {
			if _, err := s.SSH(ctx, "true", nil); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return s.broken("waiting for SSH of", ctx.Err())
		case <-s.ended:
			return s.broken("waiting for SSH of", errors.New("it has no power"))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// greets tells whether an SSH server answers; cheaper than a whole ssh.
func (s *Server) greets() bool {
	conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(s.Addr, 22).String(), 300*time.Millisecond)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	greeting := make([]byte, 4)
	_, err = io.ReadFull(conn, greeting)
	return err == nil && string(greeting) == "SSH-"
}

// sshOptions ignore this machine's own SSH settings and accept only the keys that the fleet itself gave the server.
func (s *Server) sshOptions() []string {
	return []string{"-F", "/dev/null", "-i", s.KeyFile, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + s.fleet.knownHosts(), "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR",
		// The default key exchange costs a third of a second of processor time in each process, this one a fiftieth.
		"-o", "KexAlgorithms=curve25519-sha256",
		"root@" + s.Addr.String()}
}

// CommandLine is what a person types to log in as root.
func (s *Server) CommandLine() string {
	return fmt.Sprintf("ssh -F /dev/null -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s root@%s", s.KeyFile, s.fleet.knownHosts(), s.Addr)
}

// SSH runs a shell command as root and returns its standard output. The error of a command that failed, or of a server that
// did not answer, holds all that was printed. A command must not leave processes behind that hold its streams.
func (s *Server) SSH(ctx context.Context, command string, stdin io.Reader) (string, error) {
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, "ssh", append(s.sshOptions(), command)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	// ssh's end closes its streams, but a stdin that never ends would hold us.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("on server %s: %q: %w: %s", s.Name, tail(command, 200), err, tail(out.String()+"\n"+errs.String(), 4000))
	}
	return out.String(), nil
}

// PowerCut ends the server this instant, as if its plug were pulled, and waits until it is gone. Without effect on a server
// that is off.
func (s *Server) PowerCut(ctx context.Context) error {
	for s.Running() {
		// Again and again: right after PowerOn the process is not yet systemd-nspawn.
		killServer(s.process.Process.Pid, s.fleet.folder)
		select {
		case <-s.ended:
		case <-ctx.Done():
			return s.broken("cutting the power of", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s.gone(ctx)
}

// PowerOff presses the power button: systemd stops everything in order. It waits for the end.
func (s *Server) PowerOff(ctx context.Context) error {
	if s.Running() {
		// The signal that asks systemd for poweroff.target; SSH may be firewalled.
		const rtmin = 34
		for _, first := range children(s.process.Process.Pid) {
			if err := syscall.Kill(first, syscall.Signal(rtmin+4)); err != nil {
				return s.broken("powering off", err)
			}
		}
	}
	return s.gone(ctx)
}

// gone waits for the end and tidies up after it.
func (s *Server) gone(ctx context.Context) error {
	if s.ended == nil {
		return nil
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return s.broken("waiting for the end of", ctx.Err())
	}
	// The kernel takes namespaces apart at its leisure; the next boot needs the port's name.
	if err := removeLink(ctx, s.port()); err != nil {
		return err
	}
	removeGroups(s.machine)
	removeLock(s.Root())
	removePropagation(s.machine)
	return s.fleet.keepPackages(s)
}

// Reboot powers the server off in order, boots it and waits for SSH.
func (s *Server) Reboot(ctx context.Context) error {
	if err := s.PowerOff(ctx); err != nil {
		return err
	}
	return s.Boot(ctx)
}
