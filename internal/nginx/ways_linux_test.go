package nginx_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

// ways are requests that take each of the entry's ways to a backend: the short one, and those
// for what is not the same in every request.
var ways = map[string]struct {
	method, host string
	upgrade      bool
}{
	"plain":                    {"GET", "shop.example.com", false},
	"options":                  {"OPTIONS", "shop.example.com", false},
	"post":                     {"POST", "shop.example.com", false},
	"delete":                   {"DELETE", "shop.example.com", false},
	"a host with a port":       {"GET", "shop.example.com:8080", false},
	"a host in capitals":       {"GET", "SHOP.example.com:80", false},
	"an upgrade nobody offers": {"GET", "shop.example.com", true},
	"posted to a port":         {"POST", "shop.example.com:8080", true},
}

// TestEveryWayLeadsToTheLiveSlot also holds that each tells the process the same of the visitor,
// whatever the visitor claims, and that an announcement reaches all of them.
func TestEveryWayLeadsToTheLiveSlot(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin)) // the other backend is dead: every way repeats
	serve(t, "a", "127.0.0.12:20001", nil)
	serve(t, "b", "127.0.0.12:20002", nil)
	for _, slot := range []string{"a", "b"} {
		os.Remove(live + "web0.b")
		if slot == "b" {
			touch(t, live+"web0.b")
		}
		for _, announced := range []bool{false, true} {
			if announced {
				announce(t)
			}
			for name, way := range ways {
				for range 4 {
					r := request(way.method, front, "x")
					r.Host = way.host
					for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Serverplane-Retry"} {
						r.Header.Set(h, "1")
					}
					if way.upgrade {
						r.Header.Set("Upgrade", "h2c")
						r.Header.Set("Connection", "Upgrade")
					}
					a := ask(t, r)
					if a.code != 200 || a.body != slot+": x" || a.close != announced {
						t.Errorf("slot %s, announced %t, %s: %d %q, close %t", slot, announced, name, a.code, a.body, a.close)
					}
					for h, want := range map[string]string{
						"Host": way.host, "X-Forwarded-Host": way.host, "X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1",
						"X-Forwarded-Proto": "http", "Upgrade": "", "X-Serverplane-Retry": "",
					} {
						if got := a.header.Get("Seen-" + h); got != want {
							t.Errorf("slot %s, announced %t, %s: the app sees %s %q, want %q", slot, announced, name, h, got, want)
						}
					}
				}
			}
		}
	}
}

// TestABodyThatIsTooLargeIsRefusedOnEveryWay: the limit is the entry's, before anybody is asked.
func TestABodyThatIsTooLargeIsRefusedOnEveryWay(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	p := serve(t, "app", "127.0.0.11:20001", nil)
	for _, announced := range []bool{false, true} {
		if announced {
			announce(t)
		}
		for name, way := range ways {
			conn, err := net.Dial("tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", way.method, way.host, 101<<20)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			conn.Close()
			if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s, announced %t: %v %v", name, announced, res, err)
			}
		}
	}
	if n := p.hits.Load(); n != 0 {
		t.Errorf("the process was asked %d times", n)
	}
}

// TestWorkersThatStandElsewhereAreNotInForce: the markers are looked for beside the workers. On
// a server whose nginx.conf leaves out the file that says where, no version may be told.
func TestWorkersThatStandElsewhereAreNotInForce(t *testing.T) {
	m := start(t, fleet(1, nginx.RoundRobin))
	main := "/etc/nginx/" + nginx.MainPath
	text, err := os.ReadFile(main)
	if err != nil || !bytes.Contains(text, []byte("working_directory")) {
		t.Fatalf("%v: %s", err, text)
	}
	if err := os.Remove(main); err != nil {
		t.Fatal(err)
	}
	m.cmd.Process.Signal(syscall.SIGHUP)
	for limit := time.Now().Add(patient); ; time.Sleep(5 * time.Millisecond) {
		a, err := send(request("GET", "http://"+nginx.VersionAddress+"/", ""))
		if err == nil && a.code == http.StatusInternalServerError && strings.Contains(a.body, "modules-enabled") {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("workers in another folder answer %v %+v", err, a)
		}
	}
}
