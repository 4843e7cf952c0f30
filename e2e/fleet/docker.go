package fleet

import (
	"os"
	"path/filepath"
)

// dockerUnit runs before anything of Docker.
const dockerUnit = `[Unit]
Description=Control groups for Docker on this test server
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/fleet/docker
[Install]
WantedBy=sysinit.target
`

// dockerGroups gives a server its control groups where the machine has version 1: systemd-nspawn shows them read-only. A tree may be
// of several controllers, which Docker looks for one by one.
const dockerGroups = `set -e
[ "$(stat -fc %T /sys/fs/cgroup)" = tmpfs ] || exit 0
mount -o remount,rw /sys/fs/cgroup
cut -d: -f2 /proc/self/cgroup | while read -r trees; do
    case "$trees" in "" | name=*) continue ;; esac
    mkdir -p "/sys/fs/cgroup/$trees"
    ! mountpoint -q "/sys/fs/cgroup/$trees" || umount "/sys/fs/cgroup/$trees"
    mount -t cgroup -o "$trees" cgroup "/sys/fs/cgroup/$trees"
    for tree in $(echo "$trees" | tr , ' '); do
        [ -e "/sys/fs/cgroup/$tree" ] || ln -s "$trees" "/sys/fs/cgroup/$tree"
    done
done
`

// prepareDocker writes what makes Docker work from the first boot on.
func (s *Server) prepareDocker() error {
	if !s.docker {
		return nil
	}
	units := filepath.Join(s.Root(), "etc/systemd/system")
	for name, text := range map[string]string{
		filepath.Join(units, "fleet-docker.service"):      dockerUnit,
		filepath.Join(s.Root(), "etc/fleet/docker"):       dockerGroups,
		filepath.Join(s.Root(), "etc/docker/daemon.json"): `{"storage-driver": "vfs"}` + "\n",
	} {
		if err := writeFile(name, text, 0o644); err != nil {
			return err
		}
	}
	wants := filepath.Join(units, "sysinit.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	return os.Symlink("../fleet-docker.service", filepath.Join(wants, "fleet-docker.service"))
}
