package nginx_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

// told waits until the entry's log holds n lines, all that n requests may leave.
func told(t *testing.T, path string, n int) []string {
	t.Helper()
	var lines []string
	for limit := time.Now().Add(patient); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(path)
		lines = strings.SplitAfter(string(text), "\n")
		lines = lines[:len(lines)-1]
		if len(lines) >= n {
			break
		}
	}
	if len(lines) != n {
		t.Fatalf("%s has %d lines, want %d:\n%s", path, len(lines), n, strings.Join(lines, ""))
	}
	return lines
}

// let waits until no worker has the file open any more: its lines may be there before it has looked at the signal.
func let(t *testing.T, path string) {
	t.Helper()
	open := func(worker string) bool {
		links, _ := filepath.Glob(filepath.Dir(worker) + "/fd/*")
		return slices.ContainsFunc(links, func(l string) bool {
			to, _ := os.Readlink(l)
			return to == path
		})
	}
	for limit := time.Now().Add(patient); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if !slices.ContainsFunc(workers(), open) {
			return
		}
	}
	t.Fatalf("a worker goes on writing to %s", path)
}

// logged starts the tree with an empty log.
func logged(t *testing.T, tree nginx.Tree) (*machine, string) {
	t.Helper()
	path := nginx.EntryLogPath("web0")
	for _, p := range []string{path, path + ".1"} {
		os.Remove(p)
	}
	return start(t, tree), path
}

// rest is a line without time, visitor, size and measured times.
func rest(line string) string {
	line = regexp.MustCompile(`^\S+ \S+ `).ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
	line = regexp.MustCompile(`\b[0-9]+\.[0-9]{3}\b`).ReplaceAllString(line, "T")
	return regexp.MustCompile(`" (\d{3}) \d+ T`).ReplaceAllString(line, `" $1 T`)
}

func TestTheEntryLogsWhoServedWhat(t *testing.T) {
	_, path := logged(t, fleet(2, nginx.RoundRobin))
	serve(t, "app", "127.0.0.12:20001", nil) // the other has no process
	all := map[string]bool{}
	for _, c := range []struct{ method, path, want string }{
		// Reads and writes go by upstreams of their own, each of which begins with the dead one.
		{"GET", "a%20b?secret=1", `"GET /a b" 200 T "127.0.0.11:20003 : 127.0.0.11:20003, 127.0.0.12:20003" "598 : 429, 200" "T : T, T"`},
		{"GET", "code/404", `"GET /code/404" 404 T "127.0.0.12:20003" "404" "T"`},
		{"GET", "code/598", `"GET /code/598" 502 T "127.0.0.11:20003 : 127.0.0.12:20003" "598 : 598" "T : T"`},
		{"POST", "code/503", `"POST /code/503" 503 T "127.0.0.11:20003 : 127.0.0.12:20003" "598 : 503" "T : T"`},
		{"POST", "code/429", `"POST /code/429" 429 T "127.0.0.11:20003 : 127.0.0.12:20003" "598 : 598" "T : T"`},
	} {
		ask(t, request(c.method, front+c.path, map[string]string{"POST": "x"}[c.method]))
		all[c.want] = true
	}
	for i, line := range told(t, path, len(all)) {
		if !all[rest(line)] {
			t.Errorf("line %d is %s\nwant one of %v", i, rest(line), all)
		}
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d 127\.0\.0\.1 "`).MatchString(line) {
			t.Errorf("line %d begins %.60q", i, line)
		}
	}
}

func TestTheEntryLogsWhatNobodyServed(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin)
	_, path := logged(t, tree)
	ask(t, request("POST", front, "x")) // every process is dead
	send := func(text string) {
		conn, err := net.Dial("tcp", "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, text)
		_, _ = http.ReadResponse(bufio.NewReader(conn), nil)
	}
	send("nonsense\r\n\r\n")
	send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
	lines := told(t, path, 3)
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(rest(b), rest(a)) }) // each worker writes its own
	for i, want := range []string{
		`"POST /" 502 T "127.0.0.11:20003 : 127.0.0.12:20003, 127.0.0.11:20003" "598 : 429, 429" "T : T, T"`,
		`"GET /" 413 T "-" "-" "-"`,
		`"- -" 400 T "-" "-" "-"`,
	} {
		if got := rest(lines[i]); got != want {
			t.Errorf("line %d is %s\nwant %s", i, got, want)
		}
	}
	if text, _ := os.ReadFile("/var/log/nginx/error.log"); strings.Contains(string(text), "uninitialized") {
		t.Errorf("a request that is refused early warns of itself:\n%s", text)
	}
}

// What ServerPlane asks is no visit. Only it comes from here by that name.
func TestOurOwnQuestionsAreNotLogged(t *testing.T) {
	_, path := logged(t, fleet(1, nginx.RoundRobin))
	serve(t, "app", "127.0.0.11:20001", nil)
	for _, agent := range []string{"ServerPlane-Health/1", "ServerPlane-Health/2", ""} {
		r := request("GET", front+"by-"+strings.ReplaceAll(agent, "/", "-"), "")
		r.Header.Set("User-Agent", agent)
		ask(t, r)
	}
	all := strings.Join(told(t, path, 2), "")
	if strings.Contains(all, "by-ServerPlane-Health-1") || !strings.Contains(all, "by-ServerPlane-Health-2") {
		t.Errorf("logged is\n%s", all)
	}
}

// TestAVisitorForgesNothingInTheLog: whatever is sent, a request is one line of printable ASCII
// with four pairs of quotes.
func TestAVisitorForgesNothingInTheLog(t *testing.T) {
	_, path := logged(t, fleet(1, nginx.RoundRobin))
	forged := `" 200 1 0.001 a "10.9.9.9:20003" "200" "0.001"`
	serve(t, "app", "127.0.0.11:20001", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Forged", forged)
		w.Header().Set("X-Serverplane-Refused", forged)
	})
	urls := []string{"%22%20200%201%200.001%20a%20%2210.9.9.9:20003%22%20%22200%22%20%220.001%22", "%0a2026-01-01T00:00:00+00:00%20x", "%0d%0a", "%00", "%1b[31m",
		"%5c%22", "\\\"", "\xff\xfe", "%ff", "ü", strings.Repeat("%22", 9000), "?" + strings.Repeat("x\"", 9000), "a%09b"}
	for _, u := range urls {
		conn, err := net.Dial("tcp", "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\nReferer: %s\r\nX-Serverplane-Retry: %s\r\nConnection: close\r\n\r\n", u, `x`, forged, forged, forged)
		_, _ = http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
	}
	shape := regexp.MustCompile(`^\S+ 127\.0\.0\.1 "[^"\x00-\x1f\x7f-\xff]*" \d{3} [0-9.]+ "(127\.0\.0\.11:20003|-)" "(\d{3}|-)" "([0-9.]+|-)"\n$`)
	for _, line := range told(t, path, len(urls)) {
		if !shape.MatchString(line) {
			t.Errorf("logged is %.300q", line)
		}
	}
}

// TestNothingOfTheLogIsLost over reloads and as logrotate renames it: the new file is made by it,
// and a worker of before may go on writing to the old one.
func TestNothingOfTheLogIsLost(t *testing.T) {
	tree := fleet(1, nginx.RoundRobin)
	m, path := logged(t, tree)
	serve(t, "app", "127.0.0.11:20001", nil)
	sent := 0
	some := func(n int) {
		for range n {
			ask(t, request("GET", fmt.Sprintf("%s%d", front, sent), ""))
			sent++
		}
	}
	for i := range 5 {
		some(20) // fewer than fill a buffer
		tree.Sites[0].Entry.Backends[0].Weight = 2 + i
		m.reload(tree)
	}
	told(t, path, sent)
	some(10)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	some(10)
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	told(t, path+".1", sent)
	let(t, path+".1")
	some(10)
	lines := slices.Concat(told(t, path+".1", sent-10), told(t, path, 10))
	all := strings.Join(lines, "") // by worker, so in no order
	for i := range sent {
		if strings.Count(all, fmt.Sprintf(`"GET /%d"`, i)) != 1 {
			t.Errorf("request %d is not there once", i)
		}
	}
}
