package remote

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// inside marks the test binary that runs on the private machine.
const inside = "SERVERPLANE_REMOTE_TEST_INSIDE"

// machine makes a private machine of this one: own loopback, processes and mounts, so that sshd, Nginx, accounts and sudo rules
// of the tests are real and end with them. What is sent to 10.9.9.2 reaches
// nobody. Root's home is an empty one: its start files are not ours to run.
const machine = `set -e
ip link set lo up
ip link add silent type veth peer name void
ip link set void up
ip link set silent up
ip addr add 10.9.9.1/24 dev silent
ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev silent
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/etc /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
for d in /home /var/log /var/lib /usr/local/lib; do mount -t tmpfs -o mode=0755 tmpfs $d; done
mkdir -p /var/log/nginx /var/lib/nginx /var/lib/sudo /usr/local/lib/serverplane
mkdir /run/root
sed -i 's,:/root:,:/run/root:,' /etc/passwd
rm -f /etc/nginx/sites-enabled/default /etc/sudoers.d/serverplane
exec "$@"`

// TestMain runs the tests again on a private machine and gives their result as its own.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	for _, tool := range []string{"/usr/sbin/sshd", "/usr/sbin/nginx", "/usr/bin/sudo", "/usr/bin/python3"} {
		if _, err := os.Stat(tool); err != nil {
			fmt.Fprintf(os.Stderr, "%s is missing: run `make setup`\n", tool)
			os.Exit(1)
		}
	}
	os.Exit(runInside())
}

func runInside() int {
	runtime.LockOSThread() // the death signal is tied to the thread that starts the child
	args := []string{"-n", "-m", "-p", "--fork", "--mount-proc", "--kill-child", "sh", "-c", machine, "sh"}
	cmd := exec.Command("unshare", append(args, os.Args...)...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	}
	fmt.Fprintln(os.Stderr, "making a private machine (root needed):", err)
	return 1
}
