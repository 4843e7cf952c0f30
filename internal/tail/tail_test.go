package tail

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// script is the program a server runs, run here.
type script struct {
	t     *testing.T
	lines chan plane.LogLine // closed when it has ended
	hold  io.WriteCloser     // its standard input
}

func start(t *testing.T, want map[string]any) *script {
	t.Helper()
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", program, string(raw))
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, lines: make(chan plane.LogLine, 10_000), hold: hold}
	t.Cleanup(func() { // it ends with its input
		_ = hold.Close()
		for range s.lines {
		}
	})
	go func() {
		defer close(s.lines)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 64<<10) // as remote hands lines on whole
		for scan.Scan() {
			if l, ok := read(scan.Text()); ok {
				s.lines <- l
			}
		}
		if err := errors.Join(scan.Err(), cmd.Wait()); err != nil {
			t.Errorf("the program: %v", err)
		}
	}()
	return s
}

// next waits for the next line's text.
func (s *script) next() string {
	s.t.Helper()
	select {
	case l, ok := <-s.lines:
		if !ok {
			return "(end)"
		}
		return l.From + " " + l.Text
	case <-time.After(time.Minute):
		s.t.Fatal("no line came")
	}
	return ""
}

func (s *script) says(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if got := s.next(); got != w {
			s.t.Fatalf("%q, want %q", got, w)
		}
	}
}

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, l := range lines {
		if _, err := f.WriteString(l + "\n"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFollowsAFileAcrossItsRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path+".1", "one", "two")
	write(t, path, "three")
	s := start(t, map[string]any{"files": []any{map[string]any{"path": path, "from": "access"}}, "lines": 2, "follow": true, "seconds": 60, "rate": 100})
	s.says("access two", "access three")
	write(t, path, "four")
	s.says("access four")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path+".1", "five, after it was moved")
	write(t, path, "six")
	s.says("access five, after it was moved", "access six")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, path, "7")
	s.says("access 7")
	s.hold.Close()
	s.says("(end)")
}

func TestAFileThatComesLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	s := start(t, map[string]any{"files": []any{map[string]any{"path": path, "from": "access"}}, "lines": 5, "follow": true, "seconds": 60, "rate": 100})
	write(t, path, "\x1b[31mhostile\x00 \xff "+strings.Repeat("x", 100_000))
	got := s.next()
	if !strings.HasPrefix(got, `access ^[[31mhostile^@ \xff xxx`) || len(got) > plane.MaxLogText+100 || !strings.Contains(got, "cut") {
		t.Errorf("%d bytes: %.60q", len(got), got)
	}
	s.hold.Close()
	s.says("(end)")
}

func TestMoreThanCanBeShownIsCounted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	s := start(t, map[string]any{"files": []any{map[string]any{"path": path, "from": "access"}}, "lines": 1, "follow": true, "seconds": 60, "rate": 10})
	write(t, path, "begin")
	s.says("access begin")
	write(t, path, strings.Repeat("busy\n", 5000)+"end")
	shown, left := 0, 0
	for left == 0 {
		text := s.next()
		if _, err := fmt.Sscanf(strings.TrimSpace(text), "%d lines left out", &left); err != nil {
			shown++
		}
	}
	s.hold.Close()
	if shown > 40 || left < 4900 {
		t.Errorf("%d shown, %d left out", shown, left)
	}
}

const visitor = `2026/11/25 10:00:0%d [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.1, server: %s, request: "GET /x HTTP/1.1", upstream: "http://%s/x", host: "h"`

func TestOnlyTheAppsErrors(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "error.log")
	mine := fmt.Sprintf(visitor, 1, "shop.example.com", "10.0.0.2:20002")
	site := fmt.Sprintf(visitor, 3, "", "127.0.0.1:20001")
	// A visitor cannot hide their own line either, and the app's own words do not.
	hidden := strings.Replace(fmt.Sprintf(visitor, 9, "shop.example.com", "10.0.0.2:20002"), `host: "h"`, `host: "h", referrer: "x, client: 192.0.2.1, server: other.example.com, request: "`, 1)
	refused := strings.Replace(fmt.Sprintf(visitor, 9, "", "127.0.0.1:20001"), "connect() failed (111: Connection refused) while connecting to", `upstream sent invalid header: "X Y: ..." while reading response header from`, 1)
	write(t, path,
		mine,
		fmt.Sprintf(visitor, 2, "other.example.com", "127.0.0.1:20011"),
		site,
		`2026/11/25 10:00:04 [error] 7#7: *1 open() failed, client: 192.0.2.1, server: other.example.com, request: "GET /, server: shop.example.com, request: HTTP/1.1"`,
		fmt.Sprintf(visitor, 5, "", "127.0.0.1:200011"),
		// What a visitor of another site asked for looks like the rest of a line.
		`2026/11/25 10:00:07 [error] 7#7: *1 open() "/srv/x, client: 192.0.2.1, server: shop.example.com, request: "GET / HTTP/1.1" failed (2: No such file or directory), client: 192.0.2.1, server: other.example.com, request: "GET /x,%20client HTTP/1.1", host: "h"`,
		`2026/11/25 10:00:08 [error] 7#7: *1 open() "/srv/x" failed (2: No such file or directory), client: 192.0.2.1, server: other.example.com, request: "GET /x HTTP/1.1", host: "h", referrer: "x", upstream: "http://127.0.0.1:20001/"`,
		strings.Replace(fmt.Sprintf(visitor, 8, "other.example.com", "10.0.0.9:20011"), `host: "h"`, `host: "h", referrer: "x", upstream: "http://127.0.0.1:20001/"`, 1),
		hidden, refused,
		`2026/11/25 10:00:06 [notice] 7#7: signal process started`)
	s := start(t, map[string]any{
		"files": []any{map[string]any{"path": path, "from": "error", "names": []string{"shop.example.com"}, "ports": []int{20001, 20003}}},
		"lines": 10, "follow": false, "seconds": 20, "rate": 10,
	})
	for i, want := range []string{mine, site, hidden, refused} {
		got, ok := <-s.lines
		if !ok || got.Text != want || !got.Trouble || got.At.IsZero() || got.At.Local().Format("15:04:05") != []string{"10:00:01", "10:00:03", "10:00:09", "10:00:09"}[i] {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	s.says("(end)")
}

// Nginx calls every site without a name by the same one: what is not the app's entry is told by what it asks, or serves.
func TestErrorsOfANamelessApp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "error.log")
	mine := fmt.Sprintf(visitor, 1, "_", "10.0.0.2:20002")
	large := `2026/11/25 10:00:02 [error] 7#7: *1 client intended to send too large body: 200 bytes, client: 192.0.2.1, server: _, request: "POST / HTTP/1.1", host: "h"`
	write(t, path, mine, large,
		fmt.Sprintf(visitor, 3, "_", "127.0.0.1:3000"),
		strings.Replace(fmt.Sprintf(visitor, 4, "_", "x"), `http://x/x`, "fastcgi://unix:/run/php/php-fpm.sock:", 1),
		`2026/11/25 10:00:05 [error] 7#7: *1 open() "/srv/x" failed (2: No such file or directory), client: 192.0.2.1, server: _, request: "GET /x HTTP/1.1", host: "h"`)
	s := start(t, map[string]any{
		"files": []any{map[string]any{"path": path, "from": "error", "names": []string{"_"}, "ports": []int{20001, 20003}}},
		"lines": 10, "follow": false, "seconds": 20, "rate": 10,
	})
	s.says("error "+mine, "error "+large, "(end)")
}

func TestEndsWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]any{"files": []any{}, "lines": 1, "follow": true, "seconds": 0, "rate": 1})
	s.says("(end)")
}

func query(source plane.LogSource) plane.LogQuery {
	return plane.LogQuery{
		Server: plane.Server{ID: "srv_1", Name: "s1"}, App: "web", Source: source, Lines: 50,
		Ports: plane.Ports{ProcessA: 20001, ProcessB: 20002, SiteA: 20003, SiteB: 20004}, Names: []string{"web.example.com"},
	}
}

// What a server is told; app names that are none never get that far.
func TestOrder(t *testing.T) {
	for source, want := range map[plane.LogSource]string{
		plane.LogApp:   `{"follow":true,"lines":50,"rate":200,"seconds":3600,"units":{"sp-web-a.service":"a","sp-web-b.service":"b"}}`,
		plane.LogNginx: `{"files":[{"from":"error","names":["web.example.com"],"path":"/var/log/nginx/error.log","ports":[20001,20002]},{"from":"access","path":"/var/log/nginx/sp-web.access.log"}],"follow":true,"lines":50,"rate":200,"seconds":3600}`,
	} {
		got, err := order(query(source), true)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", source, err, diff)
		}
	}
	backend := query(plane.LogNginx)
	backend.Names = nil
	if got, err := order(backend, false); err != nil || strings.Contains(got, "access") || !strings.Contains(got, `"names":[]`) {
		t.Errorf("a backend without the entry: %s, %v", got, err)
	}
	bad := query(plane.LogApp)
	bad.App = "web*"
	if got, err := order(bad, false); plane.CodeOf(err) != plane.CodeInvalid {
		t.Errorf("%q: %v", got, err)
	}
}

// stand answers in place of a server.
type stand func(ctx context.Context, cmd remote.Command, line func(string)) (remote.Result, error)

func (s stand) Stream(ctx context.Context, _ remote.Target, cmd remote.Command, line func(string)) (remote.Result, error) {
	return s(ctx, cmd, line)
}

func TestFailuresInWords(t *testing.T) {
	for want, s := range map[string]stand{
		"server s1 cannot be reached: no route": func(context.Context, remote.Command, func(string)) (remote.Result, error) {
			return remote.Result{}, &remote.Error{Kind: remote.KindUnreachable, Target: "srv_1", Err: errors.New("no route")}
		},
		"the connection to s1 is gone: EOF": func(context.Context, remote.Command, func(string)) (remote.Result, error) {
			return remote.Result{}, &remote.Error{Kind: remote.KindLost, Target: "srv_1", Err: io.EOF}
		},
		"reading the log on s1 failed: boom^[": func(context.Context, remote.Command, func(string)) (remote.Result, error) {
			return remote.Result{Exit: 1, Stderr: []byte("Traceback\nboom\x1b\n")}, nil
		},
		"server s1 has no python3": func(context.Context, remote.Command, func(string)) (remote.Result, error) {
			return remote.Result{Exit: 127}, nil
		},
	} {
		_, err := New(s).Last(t.Context(), query(plane.LogApp))
		told, ok := errors.AsType[*plane.Error](err)
		if !ok || told.Code != plane.CodeUnavailable || told.Message != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A server that is silent is told so, and not what our own clock calls it.
func TestASilentServerIsToldInTime(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	err := inWords(ctx, plane.Server{Name: "s1"}, &remote.Error{Kind: remote.KindUnreachable, Err: ctx.Err()})
	if told, ok := errors.AsType[*plane.Error](err); !ok || told.Message != "server s1 did not answer within 15s" {
		t.Errorf("%v", err)
	}
}

// A follower's command has an input that ends with the following, and there is
// room for a few only.
func TestFollowersAreFew(t *testing.T) {
	inside := make(chan io.Reader, followsOfServer)
	r := New(stand(func(ctx context.Context, cmd remote.Command, line func(string)) (remote.Result, error) {
		if !cmd.Pass || !cmd.Sudo {
			t.Errorf("%+v", cmd)
		}
		line(`{"t": 1, "from": "a", "text": "up"}`)
		inside <- cmd.Stdin
		<-ctx.Done()
		return remote.Result{}, ctx.Err()
	}))
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, followsOfServer)
	for range followsOfServer {
		go func() { ended <- r.Follow(ctx, query(plane.LogApp), func(plane.LogLine) {}) }()
	}
	var inputs []io.Reader
	for range followsOfServer {
		inputs = append(inputs, <-inside)
	}
	err := r.Follow(t.Context(), query(plane.LogApp), func(plane.LogLine) { t.Error("followed") })
	if plane.CodeOf(err) != plane.CodeUnavailable || !strings.Contains(err.Error(), "follow logs on s1 already") {
		t.Errorf("one too many: %v", err)
	}
	leave()
	for _, in := range inputs {
		<-ended
		if n, err := in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("its input did not end: %d, %v", n, err)
		}
	}
	if len(r.places.follows) != 0 || r.places.all != 0 {
		t.Errorf("places still taken: %+v", r.places)
	}
}

func TestLooksWaitForEachOther(t *testing.T) {
	p := newPlaces()
	leave, err := p.look(t.Context(), plane.Server{ID: "srv_1", Name: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.look(ctx, plane.Server{ID: "srv_1", Name: "s1"}); plane.CodeOf(err) != plane.CodeUnavailable {
		t.Errorf("a second one at once: %v", err)
	}
	leave()
	if _, err := p.look(t.Context(), plane.Server{ID: "srv_1"}); err != nil {
		t.Error(err)
	}
}
