package nginx_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

const front = "http://127.0.0.1/"

func TestADeadProcessCostsNobodyAnError(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 8<<10) // 128 KiB: over every in-memory buffer
	for _, method := range []nginx.Method{nginx.RoundRobin, nginx.LeastConnections, nginx.IPHash} {
		t.Run(string(method), func(t *testing.T) {
			tree := fleet(3, method)
			start(t, tree)
			alive := serve(t, "second", "127.0.0.12:20001", nil)
			for i := range 40 {
				verb := []string{"GET", "POST", "PUT", "PATCH"}[i%4]
				sent := ""
				if verb != "GET" {
					sent = body
				}
				a := ask(t, request(verb, front, sent))
				if a.code != 200 || a.body != "second: "+sent {
					t.Fatalf("%s %d: got %d and %d bytes", verb, i, a.code, len(a.body))
				}
				if v := a.header.Get("X-Serverplane-Refused"); v != "" {
					t.Fatalf("the visitor sees X-Serverplane-Refused: %s", v)
				}
			}
			if n := alive.hits.Load(); n != 40 {
				t.Fatalf("40 requests were carried out %d times", n)
			}
		})
	}
}

func TestADeadProcessUnderLoadCostsNobodyAnError(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	serve(t, "app", "127.0.0.12:20001", nil)
	const clients, each = 16, 60
	failures := make(chan string, clients*each)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			kept := &http.Transport{}
			defer kept.CloseIdleConnections()
			for i := range each {
				verb := []string{"GET", "POST"}[(c+i)%2]
				a, err := over(kept, request(verb, front, "x"))
				if err != nil || a.code != 200 {
					failures <- fmt.Sprintf("%s: %d %v", verb, a.code, err)
				}
			}
		})
	}
	group.Wait()
	if n := len(failures); n > 0 {
		t.Fatalf("%d of %d requests failed, the first: %s", n, clients*each, <-failures)
	}
}

func TestWithoutAnyProcessTheVisitorGets502(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	for range 6 {
		if a := ask(t, request("POST", front, "x")); a.code != 502 {
			t.Fatalf("got %d, want 502", a.code)
		}
	}
}

// TestAnAnnouncedGapIsToldAsThat, to every method and in both slots; what answers is not asked about it, another app's gap
// is no excuse, and what is dead without an announcement is a fault.
func TestAnAnnouncedGapIsToldAsThat(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	gap := func(app string) string { return nginx.GapPath(app) }
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(gap("web0"))) })
	see := func(when string, want int) {
		t.Helper()
		for _, verb := range []string{"GET", "HEAD", "POST", "DELETE"} {
			a := ask(t, request(verb, front+"some/page?x=1", map[bool]string{true: "x"}[verb == "POST"]))
			told := a.header.Get("Retry-After") == "5" && a.header.Get("Cache-Control") == "no-store" && strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") &&
				(verb == "HEAD" || a.body == "This site is being restarted and will be back in a few seconds.\n")
			if a.code != want || told != (want == 503) {
				t.Errorf("%s, %s: got %d %q, %v", when, verb, a.code, a.body, a.header)
			}
		}
	}
	for _, slot := range []string{"a", "b"} {
		if slot == "b" {
			touch(t, live+"web0.b")
		}
		see("dead in slot "+slot, 502)
		os.MkdirAll(gap("web"), 0o755)
		see("another app's gap, slot "+slot, 502)
		os.MkdirAll(gap("web0"), 0o755)
		see("announced in slot "+slot, 503)
		announce(t)
		see("announced as well as a reload, slot "+slot, 503)
		os.RemoveAll(live + "web0.b")
		os.RemoveAll(filepath.Dir(gap("web0")))
	}
	os.MkdirAll(gap("web0"), 0o755)
	serve(t, "app", "127.0.0.11:20001", nil)
	see("it answers", 200)
	for _, code := range []int{429, 502, 503, 598} {
		want := map[bool]int{true: 502, false: code}[code == 598]
		if a := ask(t, request("POST", fmt.Sprintf("%scode/%d", front, code), "x")); a.code != want || a.header.Get("Retry-After") != "" {
			t.Errorf("the app's own %d: got %d, %v", code, a.code, a.header)
		}
	}
	touch(t, live+"web0.b")
	serve(t, "app", "127.0.0.11:20002", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		conn.Close()
	})
	for _, announced := range []bool{true, false} {
		if !announced {
			os.RemoveAll(gap("web0"))
		}
		for verb, want := range map[string]int{"GET": 503, "HEAD": 503, "POST": 502} {
			want := map[bool]int{true: want, false: 502}[announced]
			if a := ask(t, request(verb, front, "")); a.code != want || (a.header.Get("Retry-After") == "5") != (want == 503) {
				t.Errorf("%s without an answer, announced %t: got %d, %v", verb, announced, a.code, a.header)
			}
		}
	}
}

func TestTheAppsOwnCodesAreItsOwn(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	var all []*process
	for _, at := range []string{"127.0.0.11", "127.0.0.12"} {
		all = append(all, serve(t, "app", at+":20001", nil), serve(t, "app", at+":20002", nil))
	}
	hits := func() (n int64) {
		for _, p := range all {
			n += p.hits.Load()
		}
		return n
	}
	for _, slot := range []string{"a", "b"} {
		if slot == "b" {
			touch(t, live+"web0.b")
		}
		for _, method := range []string{"GET", "POST"} {
			for _, code := range []int{200, 204, 302, 404, 418, 429, 500, 502, 503, 504, 594, 595, 596, 597, 598, 599} {
				want, body := code, "app: x"
				switch code {
				case 204:
					body = ""
				case 598:
					want = 502
				}
				before := hits()
				a := ask(t, request(method, fmt.Sprintf("%scode/%d", front, code), "x"))
				if a.code != want || a.body != body && code != 598 {
					t.Errorf("slot %s, %s: the app's own %d arrives as %d %q", slot, method, code, a.code, a.body)
				}
				if n := hits() - before; n != 1 {
					t.Errorf("slot %s, %s %d: carried out %d times", slot, method, code, n)
				}
			}
		}
	}
}

func TestTheAppsOwnCodesOnARepeatAreItsOwn(t *testing.T) {
	start(t, fleet(3, nginx.RoundRobin))
	first, second := serve(t, "app", "127.0.0.12:20001", nil), serve(t, "app", "127.0.0.13:20001", nil) // one of three is dead
	for _, want := range []struct{ own, seen int }{{429, 429}, {598, 502}, {502, 502}, {503, 503}, {504, 504}, {597, 597}} {
		for range 6 {
			before := first.hits.Load() + second.hits.Load()
			if a := ask(t, request("POST", fmt.Sprintf("%scode/%d", front, want.own), "x")); a.code != want.seen {
				t.Errorf("the app's own %d on a repeat arrives as %d, want %d", want.own, a.code, want.seen)
			}
			if n := first.hits.Load() + second.hits.Load() - before; n != 1 {
				t.Errorf("%d: carried out %d times", want.own, n)
			}
		}
	}
}

func TestADeadProcessAndADeadServerCostReadersNothing(t *testing.T) {
	tree := fleet(3, nginx.RoundRobin)
	for i, at := range []string{"127.0.0.21:20003", "127.0.0.21:20004"} { // nothing listens there
		b := &tree.Sites[0].Entry.Backends[2]
		*[]*netip.AddrPort{&b.A, &b.B}[i] = addr(at)
	}
	start(t, tree)
	serve(t, "app", "127.0.0.12:20001", nil)
	for range 30 {
		if a := ask(t, request("GET", front, "")); a.code != 200 {
			t.Fatalf("got %d", a.code)
		}
	}
}

func TestALocalSiteTellsARefusalFromABrokenAnswer(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	refused := ask(t, request("POST", "http://127.0.0.11:20003/", "x"))
	if refused.code != 598 || refused.header.Get("X-Serverplane-Refused") != "1" {
		t.Errorf("no process: got %d, mark %q", refused.code, refused.header.Get("X-Serverplane-Refused"))
	}
	repeat := request("POST", "http://127.0.0.11:20003/", "x")
	repeat.Header.Set("X-Serverplane-Retry", "1")
	if a := ask(t, repeat); a.code != 429 || a.header.Get("X-Serverplane-Refused") != "1" {
		t.Errorf("no process, a repeat: got %d", a.code)
	}
	serve(t, "app", "127.0.0.11:20001", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		conn.Close()
	})
	broken := ask(t, request("POST", "http://127.0.0.11:20003/", "x"))
	if broken.code != 502 || broken.header.Get("X-Serverplane-Refused") != "" {
		t.Errorf("process dies after the request: got %d, mark %q", broken.code, broken.header.Get("X-Serverplane-Refused"))
	}
}

func TestAPostThatReachedAProcessIsNeverRepeated(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	die := func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		conn.Close()
	}
	first, second := serve(t, "a", "127.0.0.11:20001", die), serve(t, "b", "127.0.0.12:20001", die)
	for range 6 {
		if a := ask(t, request("POST", front, "x")); a.code != 502 {
			t.Errorf("got %d, want 502", a.code)
		}
	}
	if n := first.hits.Load() + second.hits.Load(); n != 6 {
		t.Errorf("6 POSTs were carried out %d times", n)
	}
}

func TestForwardedHeadersAreTheEntrysOwn(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	serve(t, "app", "127.0.0.11:20001", nil)
	forged := func(url string) *http.Request {
		r := request("GET", url, "")
		r.Host = "Shop.example.com:80"
		for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "X_Forwarded_For"} {
			r.Header.Set(h, "9.9.9.9")
		}
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Serverplane-Retry", "1")
		return r
	}
	want := map[string]string{
		"Seen-X-Forwarded-For": "127.0.0.1", "Seen-X-Real-Ip": "127.0.0.1", "Seen-X-Forwarded-Proto": "http",
		"Seen-X-Forwarded-Host": "Shop.example.com:80", "Seen-Host": "Shop.example.com:80", "Seen-X-Serverplane-Retry": "", "Seen-X_forwarded_for": "",
	}
	a := ask(t, forged(front))
	for h, v := range want {
		if got := a.header.Get(h); got != v {
			t.Errorf("the app sees %s %q, want %q", h, got, v)
		}
	}
	// The entry's word counts at the local site, a neighbour's does not.
	if a := ask(t, forged("http://127.0.0.11:20003/")); a.header.Get("Seen-X-Forwarded-For") != "9.9.9.9" || a.header.Get("Seen-X-Forwarded-Proto") != "https" {
		t.Errorf("from the entry: %v", a.header)
	}
	stranger := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 99)}}).DialContext}
	defer stranger.CloseIdleConnections()
	a, err := over(stranger, forged("http://127.0.0.11:20003/"))
	if err != nil || a.header.Get("Seen-X-Forwarded-For") != "127.0.0.99" || a.header.Get("Seen-X-Forwarded-Proto") != "http" {
		t.Errorf("from a neighbour: %v %v", err, a.header)
	}
}

func TestAForgedRetryHeaderHasNoEffect(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	serve(t, "app", "127.0.0.12:20001", nil)
	for range 6 {
		r := request("POST", front, "x")
		r.Header.Set("X-Serverplane-Retry", "1")
		r.Header.Set("X_Serverplane_Retry", "1")
		if a := ask(t, r); a.code != 200 || a.body != "app: x" {
			t.Fatalf("got %d %q", a.code, a.body)
		}
	}
}

func TestTheMarkerMovesEverything(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	for _, at := range []string{"127.0.0.11", "127.0.0.12"} {
		serve(t, "old", at+":20001", nil)
		serve(t, "new", at+":20002", nil)
	}
	kept := &http.Transport{}
	defer kept.CloseIdleConnections()
	expect := func(want string) {
		t.Helper()
		for i := range 10 {
			a, err := over(kept, request([]string{"GET", "POST"}[i%2], front, "x"))
			if err != nil || !strings.HasPrefix(a.body, want+":") {
				t.Fatalf("got %v %q, want %s", err, a.body, want)
			}
		}
	}
	for range 5 {
		expect("old")
		touch(t, live+"web0.b")
		expect("new")
		os.Remove(live + "web0.b")
	}
}

func TestAnAnnouncedReloadEndsKeptConnections(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	serve(t, "app", "127.0.0.12:20001", nil) // and one dead process: the announcement must not hide the repeat
	body := strings.Repeat("x", 100<<10)
	if a := ask(t, request("POST", front, body)); a.close {
		t.Error("without an announcement the connection may be kept")
	}
	announce(t)
	for range 6 {
		a := ask(t, request("POST", front, body))
		if a.code != 200 || a.body != "app: "+body || !a.close {
			t.Errorf("got %d, %d bytes, close %v", a.code, len(a.body), a.close)
		}
	}
}

func TestAReloadLosesNoFreshConnection(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin)
	m := start(t, tree)
	serve(t, "app", "127.0.0.11:20001", nil)
	serve(t, "app", "127.0.0.12:20001", nil)
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if a, err := send(request("POST", front, "x")); err != nil || a.code != 200 {
				done <- fmt.Errorf("got %d, %v", a.code, err)
				return
			}
		}
	}()
	for i := range 6 {
		tree.Sites[0].Entry.Backends[0].Weight = 2 + i
		m.reload(tree)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWebSocketPassesAndOtherUpgradesDoNot(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	serve(t, "app", "127.0.0.11:20001", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, "no upgrade")
			return
		}
		conn, buffered, _ := http.NewResponseController(w).Hijack()
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\n", r.Header.Get("Upgrade"))
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(conn, "heard "+line)
	})
	if code, line := upgrade(t, "WebSocket"); code != 101 || line != "heard hello\n" {
		t.Errorf("WebSocket: %d %q", code, line)
	}
	if code, _ := upgrade(t, "h2c"); code != 200 {
		t.Errorf("h2c: %d, want a plain answer", code)
	}
}

// upgrade asks the front door for protocol, says hello and reads one line.
func upgrade(t *testing.T, protocol string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patient))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\n", protocol)
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 {
		return res.StatusCode, ""
	}
	fmt.Fprint(conn, "hello\n")
	line, _ := reader.ReadString('\n')
	return res.StatusCode, line
}

func TestEventStreamsArriveAsTheyAreSent(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	for name, header := range map[string]http.Header{
		"by type": {"Content-Type": {"text/event-stream; charset=utf-8"}},
		"by wish": {"Content-Type": {"text/plain"}, "X-Accel-Buffering": {"no"}},
	} {
		t.Run(name, func(t *testing.T) {
			read := make(chan struct{})
			defer serve(t, "app", "127.0.0.11:20001", func(w http.ResponseWriter, r *http.Request) {
				for k, v := range header {
					w.Header()[k] = v
				}
				fmt.Fprint(w, "data: one\n\n")
				http.NewResponseController(w).Flush()
				<-read // the stream goes on only after the visitor has seen the first event
			}).server.Close()
			defer close(read)
			client := &http.Client{Timeout: patient}
			res, err := client.Get(front)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			first := make([]byte, len("data: one\n\n"))
			if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: one\n\n" {
				t.Fatalf("got %q, %v", first, err)
			}
		})
	}
}

func TestNamesChooseTheApp(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin, "shop.example.com", "*.shop.example.com")
	start(t, tree)
	serve(t, "app", "127.0.0.11:20001", nil)
	serve(t, "app", "127.0.0.12:20001", nil)
	for host, want := range map[string]int{"shop.example.com": 200, "a.shop.example.com": 200, "SHOP.example.com": 200, "other.example.com": 404, "127.0.0.1": 404} {
		for _, url := range []string{front, "http://[::1]/"} {
			r := request("GET", url, "")
			r.Host = host
			a := ask(t, r)
			if a.code != want || want == 404 && a.body != "" {
				t.Errorf("%s at %s: got %d %q", host, url, a.code, a.body)
			}
		}
	}
}

func TestAHostThatIsNotTheNameAskedForDoesNotReachTheApp(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin, "shop.example.com"))
	serve(t, "app", "127.0.0.11:20001", nil)
	conn, err := net.Dial("tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET http://shop.example.com/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.Header.Get("Seen-Host") != "shop.example.com" {
		t.Errorf("the app sees the host %q (%v)", res.Header.Get("Seen-Host"), err)
	}
}

func TestARequestWithoutHostIsServed(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	serve(t, "app", "127.0.0.11:20001", nil)
	conn, err := net.Dial("tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Seen-Host") != "127.0.0.1" {
		t.Errorf("got %v, %v", res, err)
	}
}
