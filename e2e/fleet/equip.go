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

	"golang.org/x/sys/unix"
)

// equipScript runs in a container on the base image; its arguments are the packages. Nothing is started, and no unit that a
// package brings stays enabled: on a fresh server nothing but sshd listens, and whoever comes to set it up must find it so.
const equipScript = `set -e
export DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1
enabled() { systemctl list-unit-files --no-legend --no-pager --state=enabled | cut -d' ' -f1 | sort; }
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
enabled >/root/before
apt-get update -q
apt-get install -y -q --no-install-recommends "$@"
enabled | comm -13 /root/before - | xargs -r systemctl --quiet disable
rm -rf /usr/sbin/policy-rc.d /root/before /var/cache/apt/archives/*.deb /var/lib/apt/lists/auxfiles
`

// equipment returns the folder that lies on a base image and holds the fleet's packages, making it first if this cache does
// not hold it. Its name holds a hash of the base's and of all that went in.
func (f *Fleet) equipment(ctx context.Context, suite, base string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{filepath.Base(base), equipScript}, f.config.Packages...), "\n")))
	dir := filepath.Join(f.cache, "base-"+suite+"-equipped-"+hex.EncodeToString(sum[:])[:12])
	if usable(dir) {
		return dir, nil
	}
	lock, err := lockFile(filepath.Join(f.cache, "base-"+suite+".lock"), syscall.LOCK_EX)
	if err != nil {
		return "", fmt.Errorf("waiting for the builder of the equipped image: %w", err)
	}
	defer lock.Close()
	if usable(dir) {
		return dir, nil
	}
	f.prune(suite)
	f.config.logf("installing %s on the %s base image, once (about a minute)", strings.Join(f.config.Packages, ", "), suite)
	partial := dir + ".partial"
	if err := f.equip(ctx, base, partial); err != nil {
		return "", errors.Join(fmt.Errorf("equipping the %s base image: %w", suite, err), discard(partial))
	}
	if err := os.Rename(filepath.Join(partial, "upper"), dir); err != nil {
		return "", fmt.Errorf("keeping the equipped image: %w", err)
	}
	return dir, discard(partial)
}

// equip installs the packages into partial/upper.
func (f *Fleet) equip(ctx context.Context, base, partial string) error {
	if err := discard(partial); err != nil {
		return err
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(partial, name), 0o755); err != nil {
			return err
		}
	}
	root := filepath.Join(partial, "root")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", base, filepath.Join(partial, "upper"), filepath.Join(partial, "work"))
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting %s: %w", root, err)
	}
	// The network is this machine's own: the base image holds its way to the outside.
	args := []string{"--quiet", "--settings=no", "--register=no", "--keep-unit", "--pipe", "--link-journal=no", "--resolv-conf=off",
		"--timezone=off", "--directory=" + root, "--machine=" + f.ID + "-equip", "/bin/sh", "-c", equipScript, "sh"}
	if _, err := tool(ctx, "", "systemd-nspawn", append(args, f.config.Packages...)...); err != nil {
		return err
	}
	return unmount(root)
}
