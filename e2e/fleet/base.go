package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// basePackages is what a rented server has before ServerPlane comes; nothing that ServerPlane installs itself.
const basePackages = "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,python3,python3-apt,sudo,iproute2,iptables,ufw," +
	"ca-certificates,git,curl,procps,acl,rsync,cron,kmod,less,iputils-ping,netcat-openbsd"

// networkUnit gives a server its address: the address itself is written into /etc/fleet before each boot.
const networkUnit = `[Unit]
Description=Address of this test server
DefaultDependencies=no
After=systemd-sysctl.service
Before=network-pre.target network.target sysinit.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/fleet/network
ExecStart=/bin/sh -ec 'ip link set lo up; ip link set host0 up; ip address replace "$ADDRESS" dev host0; ip route replace default via "$GATEWAY"'
[Install]
WantedBy=sysinit.target
`

// finishBase runs on the machine with the new root as its first argument. The daily apt timers would hold apt's lock in
// the middle of a story; everything else stays as Debian ships it.
const finishBase = `set -e
root="$1"
chroot "$root" update-ca-certificates >/dev/null
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname
: >"$root"/etc/machine-id
rm -f "$root"/var/lib/dbus/machine-id
systemctl --root="$root" --quiet mask apt-daily.timer apt-daily-upgrade.timer
systemctl --root="$root" --quiet enable fleet-network.service ssh.service
systemctl --root="$root" --quiet disable systemd-timesyncd.service 2>/dev/null || true
echo LANG=C.UTF-8 >"$root"/etc/default/locale
echo force-unsafe-io >"$root"/etc/dpkg/dpkg.cfg.d/fleet
printf 'APT::Keep-Downloaded-Packages "true";\n' >"$root"/etc/apt/apt.conf.d/98fleet
rm -rf "$root"/var/lib/apt/lists/auxfiles
mkdir -p "$root"/root/.ssh && chmod 700 "$root"/root/.ssh
`

// baseRecipe is all that decides what a base image contains. Its hash names the image, so a change makes a new one.
type baseRecipe struct {
	suite   string
	machine machine
}

func (r baseRecipe) key() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s\n%s\n%+v", r.suite, basePackages, networkUnit, finishBase, r.machine)
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// base returns the folder of the suite's base image, making it first if this cache does not hold it. One builder works at
// a time; a build that did not end is never used, as it only gets its final name when complete.
func (f *Fleet) base(ctx context.Context, suite string) (string, error) {
	recipe := baseRecipe{suite: suite, machine: f.machine}
	dir := filepath.Join(f.cache, "base-"+suite+"-"+recipe.key())
	if usable(dir) {
		return dir, nil
	}
	lock, err := lockFile(filepath.Join(f.cache, "base-"+suite+".lock"), syscall.LOCK_EX)
	if err != nil {
		return "", fmt.Errorf("waiting for the builder of the base image: %w", err)
	}
	defer lock.Close()
	if usable(dir) {
		return dir, nil
	}
	f.prune(suite)
	f.config.logf("building the %s base image, once (about 30 s)", suite)
	if err := recipe.build(ctx, dir+".partial"); err != nil {
		return "", errors.Join(fmt.Errorf("building the %s base image: %w", suite, err), discard(dir+".partial"))
	}
	if err := os.Rename(dir+".partial", dir); err != nil {
		return "", fmt.Errorf("keeping the base image: %w", err)
	}
	return dir, nil
}

// usable tells whether a base image is there, and notes that it is still wanted.
func usable(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

// prune removes unfinished builds, and images of former recipes that no fleet has used for a week. The caller is the only
// builder of the suite.
func (f *Fleet) prune(suite string) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	old, _ := filepath.Glob(filepath.Join(f.cache, "base-"+suite+"-*"))
	for _, dir := range old {
		info, err := os.Stat(dir)
		week := err == nil && time.Since(info.ModTime()) > 7*24*time.Hour
		if strings.HasSuffix(dir, ".partial") || week && !strings.Contains(string(mounts), dir) {
			_ = discard(dir)
		}
	}
}

// discard removes an image; a killed build may have left its /proc or /dev mounted, which must not be removed with it.
func discard(dir string) error {
	if err := unmountAll(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

func (r baseRecipe) build(ctx context.Context, root string) error {
	if err := discard(root); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "fleet-base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	args := []string{"--mode=root", "--variant=minbase", "--quiet", "--include=" + basePackages}
	if r.machine.aptOptions != "" {
		options := filepath.Join(scratch, "apt.conf")
		if err := os.WriteFile(options, []byte(r.machine.aptOptions), 0o644); err != nil {
			return err
		}
		args = append(args, "--aptopt="+options)
	}
	args = append(args, "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg", r.suite, root)
	args = append(args, r.machine.sources(r.suite)...)
	if _, err := tool(ctx, "", "mmdebstrap", args...); err != nil {
		return err
	}
	if err := r.machine.copyInto(root); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "etc/systemd/system/fleet-network.service"), []byte(networkUnit), 0o644); err != nil {
		return err
	}
	_, err = tool(ctx, "", "sh", "-c", finishBase, "sh", root)
	return err
}

// lockFile opens (or makes) a file and takes its lock; how is LOCK_EX, with LOCK_NB to give up at once. Closing the file,
// or the end of the process however sudden, frees the lock.
func lockFile(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", strings.TrimSpace(path), err)
	}
	return file, nil
}
