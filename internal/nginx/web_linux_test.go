package nginx_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

// web runs the Nginx of a slot where the process of the first backend is expected.
func web(t *testing.T, w nginx.Web) nginx.Web {
	t.Helper()
	dir := t.TempDir()
	w.App, w.Slot, w.Listen, w.Root, w.Scratch = "web0", "a", addr("127.0.0.11:20001"), dir+"/site", dir+"/scratch"
	w.Shared = dir + "/sp_web0/shared"
	for name, text := range map[string]string{
		"site/index.html": "the page", "site/index.php": "<?php", "site/a/b.css": "style", "site/a/tool.php": "<?php", "site/.env": "SECRET=1", "site/.well-known/x": "proof",
		"lib/tool.php": "<?php", "sp_web0/shared.php": "<?php", "sp_web0/shared/uploads/evil.php": "<?php", "sp_web0/shared/uploads/index.php": "<?php",
		"sp_web0/shared/uploads/a.png": "image", "sp_web0/shared/uploads/a.php.png": "image", "sp_web0/shared/uploads/.htpasswd": "SECRET=1",
		"sp_web0/shared/uploads/.git/config": "SECRET=1", "sp_web0/shared/uploads/.well-known/x": "proof", "sp_web0/shared/uploads/.well-known/evil.php": "<?php",
	} {
		must(t, os.MkdirAll(filepath.Dir(dir+"/"+name), 0o755))
		must(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
	}
	for link, target := range map[string]string{
		"site/uploads": w.Shared + "/uploads", "site/media": "uploads", "site/a/deep": "../media/../uploads/.", "site/one.php": w.Shared + "/uploads/evil.php",
		"site/two.php": "one.php", "site/lib": dir + "/lib", "site/three.php": "lib/tool.php", "homes": dir, "site/far": dir + "/homes/sp_web0/shared/uploads", "site/beside.php": "../sp_web0/shared.php",
	} {
		must(t, os.Symlink(target, dir+"/"+link))
	}
	must(t, os.MkdirAll(w.Scratch, 0o777))
	text, err := nginx.RenderWeb(w)
	must(t, err)
	conf := dir + "/nginx.conf"
	must(t, os.WriteFile(conf, []byte(text), 0o644))
	cmd := exec.Command("nginx", "-e", "stderr", "-g", "user root;", "-c", conf) // the folders of a test are its own
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGQUIT); cmd.Wait() })
	for limit := time.Now().Add(patient); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", w.Listen.String()); err == nil {
			c.Close()
			return w
		}
	}
	t.Fatal("the slot's Nginx does not listen")
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesOfASlot(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	web(t, nginx.Web{Fallback: true})
	for path, want := range map[string]string{
		"": "200 the page", "a/b.css": "200 style", "nowhere/at/all": "200 the page", ".well-known/x": "200 proof", ".env": "404", "a/../../etc/passwd": "400",
	} {
		a := ask(t, request("GET", front+path, ""))
		if got := fmt.Sprintf("%d %s", a.code, a.body); !strings.HasPrefix(got, want) {
			t.Errorf("/%s: %.60s, want %s", path, got, want)
		}
	}
}

// script plays php-fpm: a real FastCGI server that tells what it was asked.
func script(t *testing.T, w nginx.Web) *atomic.Int64 {
	t.Helper()
	hits := new(atomic.Int64)
	l, err := net.Listen("unix", w.Socket())
	must(t, err)
	must(t, os.Chmod(w.Socket(), 0o777))
	t.Cleanup(func() { l.Close() })
	go fcgi.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		body, _ := io.ReadAll(r.Body)
		env := fcgi.ProcessEnv(r)
		var code int
		if n, _ := fmt.Sscanf(r.URL.RawQuery, "code=%d", &code); n == 1 {
			rw.Header().Set("X-Serverplane-Refused", "1") // it may say so: it is not believed
			rw.WriteHeader(code)
		}
		fmt.Fprintf(rw, "%s %s %s", env["SCRIPT_FILENAME"][len(w.Root):], env["REQUEST_SCHEME"], body)
	}))
	return hits
}

func TestScriptsOfASlot(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	w := web(t, nginx.Web{PHP: true})
	hits := script(t, w)
	for path, want := range map[string]string{
		"": "200 /index.php http sent", "pretty/url?x=1": "200 /index.php http sent", "index.php/more/path": "200 /index.php http sent", "a/b.css": "200 style",
		"uploads/a.png": "200 image", "uploads/evil.php": "404", "uploads/evil.php/x": "404", "gone.php": "404",
		"uploads/.htpasswd": "404", "uploads/.git/config": "404", "uploads/.well-known/x": "200 proof", "uploads/.well-known/evil.php": "404", "uploads//evil.php": "404",
		"UPLOADS/evil.php": "404", "index.php/../uploads/evil.php": "404", "uploads/index.php": "404", "uploads/a.php.png": "200 image", "uploads/none/at/all": "200 /index.php http sent",
		// Whatever link leads there; and what only looks like it is carried out.
		"media/evil.php": "404", "media/": "404", "media/evil.php/x": "404", "a/deep/evil.php": "404", "one.php": "404", "two.php": "404", "two.php/x": "404", "far/evil.php": "404",
		"media/a.png": "200 image", "a/tool.php": "200 /a/tool.php http sent", "lib/tool.php": "200 /lib/tool.php http sent", "three.php": "200 /three.php http sent",
		"beside.php": "200 /beside.php http sent", "a.php/../two.php": "404",
	} {
		a := ask(t, request("POST", front+path, "sent"))
		if strings.HasPrefix(want, "200 style") || strings.HasPrefix(want, "200 image") || strings.HasPrefix(want, "200 proof") {
			a = ask(t, request("GET", front+path, ""))
		}
		if got := fmt.Sprintf("%d %s", a.code, a.body); !strings.HasPrefix(got, want) {
			t.Errorf("/%s: %.80s, want %s", path, got, want)
		}
	}
	before := hits.Load()
	for _, want := range []struct{ own, seen int }{{404, 404}, {429, 429}, {500, 500}, {502, 502}, {503, 503}, {504, 504}, {598, 502}} {
		a := ask(t, request("POST", fmt.Sprintf("%s?code=%d", front, want.own), "x"))
		if a.code != want.seen || a.header.Get("X-Serverplane-Refused") != "" {
			t.Errorf("the script's own %d arrives as %d %v", want.own, a.code, a.header)
		}
	}
	if n := hits.Load() - before; n != 7 {
		t.Errorf("7 requests were carried out %d times", n)
	}
}

// A php-fpm that takes no request is as good as a process that does not listen.
func TestADeadFPMCostsNobodyAnError(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	web(t, nginx.Web{PHP: true})
	alive := serve(t, "second", "127.0.0.12:20001", nil)
	for i := range 40 {
		a := ask(t, request([]string{"GET", "POST"}[i%2], front+"any", strings.Repeat("x", i%2)))
		if a.code != 200 || !strings.HasPrefix(a.body, "second: ") {
			t.Fatalf("%d: got %d %.60s", i, a.code, a.body)
		}
	}
	if n := alive.hits.Load(); n != 40 {
		t.Errorf("40 requests were carried out %d times", n)
	}
	a := ask(t, request("GET", "http://127.0.0.11:20003/", ""))
	if a.code != 598 || a.header.Get("X-Serverplane-Refused") != "1" {
		t.Errorf("the local site says %d, %v", a.code, a.header)
	}
}
