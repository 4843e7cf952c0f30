//go:build e2e

package fleet_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
)

// An equipped server has the packages as apt leaves them, and is fresh in every other way: nothing but sshd listens.
func TestEquipped(t *testing.T) {
	f, err := fleet.New(fleet.Config{Log: t.Output(), Packages: []string{"nginx"}})
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	s := start(t, f, "a")[0]
	for _, check := range []struct{ name, command, want string }{
		{"clean boot", "systemctl is-system-running --wait; systemctl --failed --no-legend", "running"},
		{"installed", "dpkg-query -W -f '${db:Status-Status}' nginx && dpkg --audit", "installed"},
		{"not enabled", "systemctl is-enabled nginx || true; systemctl is-active nginx || true", "disabled\ninactive"},
		{"listens", "ss -Hltn | awk '{print $4}' | grep -o '[0-9]*$' | sort -u", "22"},
		{"as apt leaves it", "ls -d /etc/nginx/sites-enabled/default; ls /usr/sbin/policy-rc.d /root/before 2>/dev/null || true", "/etc/nginx/sites-enabled/default"},
		{"can be started", "systemctl enable -q --now nginx && curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/", "200"},
	} {
		if got := ssh(t, s, check.command); got != check.want {
			t.Errorf("%s: %q, want %q", check.name, got, check.want)
		}
	}
}

// Strangers come from addresses of their own, and still come through a cut from this machine.
func TestStrangers(t *testing.T) {
	f := newFleet(t)
	s := start(t, f, "a")[0]
	strangers, err := f.Strangers(t.Context(), 8)
	must(t, err)
	ssh(t, s, "systemd-run --quiet --unit=door python3 -c '"+whoServer+"'; "+
		"for i in $(seq 50); do ss -Hltn sport = :8080 | grep -q . && break; sleep 0.1; done")
	ask := func(from netip.Addr) string {
		d := net.Dialer{Timeout: 2 * time.Second}
		if from.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		conn, err := d.DialContext(t.Context(), "tcp", netip.AddrPortFrom(s.Addr, 8080).String())
		if err != nil {
			return "no answer"
		}
		defer conn.Close()
		answer := make([]byte, 64)
		n, _ := conn.Read(answer)
		return string(answer[:n])
	}
	seen := map[netip.Prefix]bool{}
	for _, from := range strangers {
		if got := ask(from); got != from.String() {
			t.Errorf("%s is seen as %s", from, got)
		}
		seen[netip.PrefixFrom(from, 24).Masked()] = true
	}
	if len(seen) != 8 {
		t.Errorf("eight strangers share %d networks", len(seen))
	}
	must(t, f.CutFromMachine(t.Context(), s))
	if got := ask(netip.Addr{}); got != "no answer" {
		t.Errorf("this machine came through the cut: %s", got)
	}
	if got := ask(strangers[3]); got != strangers[3].String() {
		t.Errorf("a stranger did not come through a cut from this machine: %s", got)
	}
}

const whoServer = `
import socket
s = socket.create_server(("0.0.0.0", 8080))
while True:
    c, a = s.accept()
    c.sendall(a[0].encode())
    c.close()
`

func TestCutOneWay(t *testing.T) {
	f := newFleet(t)
	servers := start(t, f, "a", "b")
	a, b := servers[0], servers[1]
	ssh(t, b, "systemd-run --quiet --unit=ear sh -c 'nc -u -l -p 9000 >/tmp/heard'")
	must(t, f.CutOneWay(t.Context(), b, a))
	if reaches(t, a, b) {
		t.Error("answers came through the way that is cut")
	}
	ssh(t, a, fmt.Sprintf("ip neigh replace %s lladdr %s dev host0; echo hello >/dev/udp/%s/9000", b.Addr, ssh(t, b, "cat /sys/class/net/host0/address"), b.Addr))
	if got := ssh(t, b, "for i in $(seq 50); do [ -s /tmp/heard ] && break; sleep 0.1; done; cat /tmp/heard"); got != "hello" {
		t.Errorf("the open way carried %q", got)
	}
	must(t, f.Heal(t.Context(), a, b))
	if !reaches(t, a, b) {
		t.Error("healing did not heal")
	}
}

func TestDiskThatIsFull(t *testing.T) {
	f := newFleet(t)
	s, err := f.Start(t.Context(), fleet.Spec{Name: "a", Disk: 64})
	must(t, err)
	ssh(t, s, "echo kept >/root/kept")
	must(t, s.FillDisk(t.Context()))
	for _, dir := range []string{"/home", "/etc", "/var/lib"} {
		if got := ssh(t, s, "head -c 8192 /dev/zero >"+dir+"/x 2>&1 && echo written || echo refused; rm -f "+dir+"/x"); !strings.Contains(got, "refused") {
			t.Errorf("%s takes a file on a full disk: %s", dir, got)
		}
	}
	must(t, s.PowerCut(t.Context()))
	must(t, s.Boot(t.Context()))
	must(t, s.FreeDisk(t.Context()))
	if got := ssh(t, s, "head -c 8192 /dev/zero >/home/x && cat /root/kept"); got != "kept" {
		t.Errorf("after freeing: %s", got)
	}
	if _, err := f.Snapshot(t.Context(), s); err == nil {
		t.Error("a server with a limited disk was frozen")
	}
}

func TestLateAddress(t *testing.T) {
	f := newFleet(t)
	s, err := f.Start(t.Context(), fleet.Spec{Name: "a", Late: 4 * time.Second})
	must(t, err)
	appears := func() {
		t.Helper()
		if got := ssh(t, s, "ip -o address show dev host0 | grep -c "+s.Late.String()+"/ || true"); got != "0" {
			t.Error("the second address is there at once")
		}
		ssh(t, s, "for i in $(seq 100); do ip -o address show dev host0 | grep -q "+s.Late.String()+"/ && exit; sleep 0.1; done; exit 1")
	}
	appears()
	must(t, s.Reboot(t.Context()))
	appears()
	ssh(t, s, "ping -c 1 -W 2 "+f.Gateway().String())
}

// A picture shows what was added, changed and removed, and a server that only runs does not differ from itself.
func TestPicture(t *testing.T) {
	f := newFleet(t)
	s := start(t, f, "a")[0]
	ssh(t, s, "systemctl is-system-running --wait")
	before, err := s.Picture()
	must(t, err)
	must(t, s.Reboot(t.Context()))
	ssh(t, s, "systemctl is-system-running --wait; echo hello; logger something")
	same, err := s.Picture()
	must(t, err)
	if diff := same.Since(before); len(diff) > 0 {
		t.Errorf("nobody did anything, but:\n%s", strings.Join(diff, "\n"))
	}
	ssh(t, s, "echo x >/srv/new; chmod 600 /etc/hostname; rm /etc/motd; ln -s /nowhere /etc/link; touch /etc/hosts; useradd someone")
	after, err := s.Picture()
	must(t, err)
	var short []string
	for _, line := range after.Since(before) {
		short = append(short, strings.Join(strings.Fields(line)[:2], " "))
	}
	want := "/etc/group ~,/etc/gshadow ~,/etc/hostname ~,/etc/link +,/etc/motd -,/etc/passwd ~,/etc/shadow ~,/etc/subgid ~,/etc/subuid ~,/srv/new +"
	if got := strings.Join(short, ","); got != want {
		t.Errorf("seen %s\nwant %s", got, want)
	}
}
