package nginx_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
)

// inside marks the copy of the test program that has a machine of its own.
const inside = "SERVERPLANE_TEST_NGINX_INSIDE"

// TestMain runs all tests of this package in private network, mount and process namespaces:
// Nginx uses the real addresses, ports and paths, nothing outside can be met, and everything
// ends with the test program.
func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(reenter())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "preparing a private machine for nginx (needs root and the tools of `make setup`):", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func reenter() int {
	runtime.LockOSThread() // the death signal is tied to the thread that starts the copy
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	signal.Ignore(os.Interrupt) // it reaches the copy as well, which reports
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "entering private namespaces (needs root):", err)
		return 1
	}
	return 0
}

func furnish() error {
	script := `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
cp -r /etc/nginx /run/nginx-tree
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /var/lib/serverplane/live /var/lib/nginx /var/log/nginx
sed -i 's/^worker_processes .*/worker_processes %d;/' /run/nginx-tree/nginx.conf
rm -f /run/nginx-tree/sites-enabled/* /run/nginx-tree/modules-enabled/* /run/nginx-tree/conf.d/*
mount --bind /run/nginx-tree /etc/nginx
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind
`
	out, err := exec.Command("sh", "-c", fmt.Sprintf(script, workersOfMachine)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
