package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

type lab struct {
	panel *webtest.Panel
	web   *web.Server
	url   string
	log   *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{panel: webtest.New(), log: &logBuffer{}}
	l.web = web.New(web.Config{
		Control: l.panel, Log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test",
	})
	srv := httptest.NewServer(l.web.Handler())
	t.Cleanup(srv.Close)
	l.url = srv.URL
	return l
}

func (l *lab) ask(t *testing.T, role plane.Role, method, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, l.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+webtest.Token(role))
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

func problem(t *testing.T, body string) map[string]any {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("not a problem document: %q", body)
	}
	return p
}

// Every route, as nobody, with a wrong token and as every role.
func TestEveryRouteAsEverybody(t *testing.T) {
	l := newLab(t)
	fill := strings.NewReplacer("{name}", "web", "{id}", "run_1", "{server}", "s1")
	if len(l.web.Routes()) < 40 {
		t.Fatalf("only %d routes", len(l.web.Routes()))
	}
	for _, r := range l.web.Routes() {
		path := fill.Replace(r.Path)
		if resp, body := l.ask(t, "", r.Method, path, "{}"); resp.StatusCode != 401 || problem(t, body)["code"] != "unauthorized" {
			t.Errorf("%s %s as nobody: %d %s", r.Method, path, resp.StatusCode, body)
		} else if resp.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s: does not say how to sign in", r.Method, path)
		}
		if resp, _ := l.ask(t, "stranger", r.Method, path, "{}"); resp.StatusCode != 401 {
			t.Errorf("%s %s with a wrong token: %d", r.Method, path, resp.StatusCode)
		}
		for _, role := range []plane.Role{plane.RoleOwner, plane.RoleAdmin, plane.RoleViewer} {
			resp, body := l.ask(t, role, r.Method, path, "{}")
			if allowed := auth.Allow(role, r.Permission); allowed == (resp.StatusCode == 403) {
				t.Errorf("%s %s as %s: %d %s, allowed %v", r.Method, path, role, resp.StatusCode, body, allowed)
			}
			if resp.StatusCode >= 500 {
				t.Errorf("%s %s as %s: %d %s", r.Method, path, role, resp.StatusCode, body)
			}
		}
	}
}

// A viewer only reads, and reads no secret.
func TestWhatAViewerMay(t *testing.T) {
	for _, r := range newLab(t).web.Routes() {
		if strings.HasPrefix(r.Path, "/api/v1/tokens") {
			continue // their own
		}
		secret := strings.HasSuffix(r.Path, "/reveal") || strings.HasSuffix(r.Path, "/audits") || strings.Contains(r.Path, "/logs") || strings.HasSuffix(r.Path, "/users")
		if want := r.Method == http.MethodGet && !secret; auth.Allow(plane.RoleViewer, r.Permission) != want {
			t.Errorf("%s %s: a viewer may: %v", r.Method, r.Path, !want)
		}
	}
}

func TestOnlyHealthzIsAnonymous(t *testing.T) {
	l := newLab(t)
	if resp, body := l.ask(t, "", "GET", "/healthz", ""); resp.StatusCode != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", resp.StatusCode, body)
	}
	for path, want := range map[string]int{
		"/api/v1/openapi.json": 401, "/openapi.json": 404, "/openapi.yaml": 404, "/docs": 404, "/schemas/App.json": 404,
		"/": 404, "/api/v1/": 404, "/metrics": 404, "/debug/pprof/": 404,
	} {
		if resp, body := l.ask(t, "", "GET", path, ""); resp.StatusCode != want || problem(t, body)["status"] != float64(want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestWireNames(t *testing.T) {
	l := newLab(t)
	at := "2026-03-04T05:06:07Z"
	backend := map[string]any{
		"server": "s1", "role": "primary", "enabled": true, "state": "unhealthy", "since": at,
		"reason": "answered 404; expected 200, 201, 204, 301 or 302", "address": "198.18.1.1:20003", "weight": 1.0, "backup": false,
		"release": "20260304050607-0123456", "deployment": "", "runtime": "Node.js v22.1.0", "taken_out": false, "vantage": "s1, forwarded over SSH", "answer": "HTTP 404", "checked_at": at, "latency": "3ms",
	}
	run := map[string]any{
		"id": "run_1", "kind": "deployment", "app": "web", "servers": []any{"s1"}, "deployment": "dep_1", "state": "running",
		"step": "build", "done": 1.0, "total": 4.0, "actor": "me@example.com", "attempt": 1.0, "created_at": at, "started_at": at,
	}
	balancer := map[string]any{
		"app": "web", "method": "round-robin", "status": "on", "name_header": false, "backends": []any{backend},
		"health_check": map[string]any{"path": "/up", "interval": "10s", "timeout": "5s", "fall": 2.0, "rise": 2.0, "take_out": false, "floor": 1.0},
		"pending":      false,
	}
	inForce := map[string]any{"in_force": true, "backend": backend}
	removal := maps.Clone(run)
	removal["receipt"] = []any{
		map[string]any{"server": "s2", "what": "processes and units", "done": true},
		map[string]any{"server": "s2", "what": "firewall rules", "done": false, "detail": "the server does not answer"},
	}
	l.panel.Say(plane.EventOutput, "s1", "added 3 packages")
	cases := []struct {
		method, path, body string
		status             int
		want               any
	}{
		{"GET", "/apps/web/backends", "", 200, map[string]any{"items": []any{backend}}},
		{"GET", "/apps/web/backends/s1", "", 200, backend},
		{"GET", "/apps/web/backends/s1/history?changes=5&minutes=90", "", 200, map[string]any{
			"changes": []any{map[string]any{
				"at": at, "was": "healthy", "became": "unhealthy", "vantage": "s1, by curl", "answer": "HTTP 404", "reason": "answered 404",
			}},
			"minutes": []any{map[string]any{
				"minute": "2026-03-04T05:06:00Z", "probes": 6.0, "failures": 2.0, "unknown": 1.0, "latency": "12ms", "slowest": "40ms",
			}},
		}},
		{"GET", "/apps/web/load-balancer", "", 200, balancer},
		{"POST", "/apps/web/backends/s2/off", "", 200, inForce},
		{"POST", "/apps/web/backends/s9/check", "", 200, map[string]any{
			"at": at, "verdict": "fail", "vantage": "s1, forwarded over SSH", "answer": "HTTP 500", "reason": "answered 500, a server error", "latency": "3ms",
		}},
		{"POST", "/apps/web/backends/s2/off", `{"yes":true}`, 200, inForce},
		{"POST", "/apps/web/backends/away/off", `{}`, 202, map[string]any{"in_force": false, "run": run, "reason": "Nginx on s1 has not taken it", "backend": backend}},
		{"POST", "/apps/web/backends/s2/on", "", 200, inForce},
		{"PATCH", "/apps/web/backends/s2", `{"weight":5,"backup":false}`, 200, inForce},
		{"PATCH", "/apps/web/load-balancer", `{"method":"ip-hash","interval":"1s"}`, 200, map[string]any{"in_force": true, "load_balancer": balancer}},
		{"GET", "/apps/web/load-balancer/preview?method=ip-hash", "", 200, map[string]any{
			"path": "conf.d/sp-web.conf", "text": "upstream app {\n}\n", "version": "1-abc",
		}},
		{"POST", "/apps/web/load-balancer/disable", `{"remove_backends":true}`, 202, map[string]any{"run": run}},
		{"POST", "/apps/web/load-balancer/disable", "", 202, map[string]any{"run": run}},
		{"POST", "/apps/web/backends/s2/repair", "", 202, map[string]any{"run": run}},
		{"GET", "/runs/run_1", "", 200, run},
		{"GET", "/apps/web/logs?server=s2&source=app&lines=5", "", 200, map[string]any{"server": "s2", "source": "app", "at": at, "items": []any{
			map[string]any{"time": at, "from": "a", "text": "listening as web"}, map[string]any{"from": "error", "error": true, "text": "upstream timed out"},
		}}},
		{"POST", "/apps/web/load-balancer", `{"method":"ip-hash","acknowledge":["local_writes"]}`, 202, map[string]any{"run": run}},
		{"POST", "/apps/web/backends", `{"server":"s2","weight":3,"backup":true}`, 202, map[string]any{"run": run}},
		{"GET", "/runs?limit=1", "", 200, map[string]any{"items": []any{run}, "next": "run_1"}},
		{"GET", "/runs/run_1/events?after=0&wait=1s", "", 200, map[string]any{"items": []any{
			map[string]any{"seq": 1.0, "time": at, "kind": "output", "server": "s1", "text": "added 3 packages"},
		}}},
		{"GET", "/apps/web/variables", "", 200, map[string]any{"items": []any{map[string]any{"name": "KEY", "length": 7.0, "updated_at": at}}}},
		{"GET", "/apps/web/variables/reveal", "", 200, map[string]any{"items": []any{map[string]any{"name": "KEY", "value": "hunter2", "length": 7.0, "updated_at": at}}}},
		{"POST", "/apps/unchanged/variables/apply", "", 200, map[string]any{"run": nil}},
		{"GET", "/audits", "", 200, map[string]any{"items": []any{map[string]any{"id": "aud_1", "time": at, "actor": "me@example.com", "from": "127.0.0.1", "action": "app.create", "subject": "web"}}}},
		{"GET", "/users", "", 200, map[string]any{"items": []any{
			map[string]any{"id": "usr_1", "email": "me@example.com", "role": "owner", "created_at": at}, map[string]any{"id": "usr_2", "email": "web@example.com", "role": "viewer", "created_at": at},
		}}},
		{"POST", "/users", `{"email":"ann@example.com","role":"admin","password":"correct horse battery"}`, 201, map[string]any{"id": "usr_3", "email": "ann@example.com", "role": "admin", "created_at": "0001-01-01T00:00:00Z"}},
		{"GET", "/tokens", "", 200, map[string]any{"items": []any{map[string]any{"id": "tok_1", "name": "web", "created_at": at}}}},
		{"POST", "/tokens", `{"name":"ci"}`, 201, map[string]any{"token": "spt_fresh"}},
		{"POST", "/host-key", `{"address":"198.18.0.1"}`, 200, map[string]any{"fingerprint": "SHA256:host", "type": "ssh-ed25519"}},
		{"GET", "/panel-key", "", 200, map[string]any{"key": "ssh-ed25519 AAAA serverplane"}},
		// last, for it leaves a receipt
		{"DELETE", "/apps/web/backends/s2?discard=true&yes=false", "", 202, map[string]any{"run": removal}},
		{"GET", "/runs/run_1", "", 200, removal},
	}
	for _, c := range cases {
		resp, body := l.ask(t, plane.RoleOwner, c.method, "/api/v1"+c.path, c.body)
		var got any
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, body)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.method, c.path, diff)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: content type %q", c.path, got)
		}
	}
}

func TestNoAnswerTellsASecret(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{"/apps", "/apps/web", "/apps/web/variables", "/apps/web/deployments", "/deployments/dep_1", "/runs/run_1", "/servers"} {
		if _, body := l.ask(t, plane.RoleOwner, "GET", "/api/v1"+path, ""); strings.Contains(body, "hunter2") || strings.Contains(body, "aHVudGVyMg") {
			t.Errorf("%s tells a secret: %s", path, body)
		}
	}
}

func TestWishesArriveWhole(t *testing.T) {
	l := newLab(t)
	str := func(s string) *string { return &s }
	cases := []struct {
		method, path, body, verb string
		want                     any
	}{
		{"POST", "/servers", `{"name":"s2","address":"198.18.0.2","private_address":"10.0.0.2","port":2222,"user":"deb","key":"PEM","password":"p","sudo_password":"q","host_key":"SHA256:x","firewall":"leave","adopt":true}`, "AddServer",
			control.ServerWish{Name: "s2", Address: "198.18.0.2", PrivateAddress: "10.0.0.2", SSHPort: 2222, User: "deb", Key: []byte("PEM"), Password: "p", SudoPassword: "q", HostKey: "SHA256:x", Firewall: "leave", Adopt: true}},
		{"POST", "/servers", `{"name":"s2","address":"198.18.0.2"}`, "AddServer", control.ServerWish{Name: "s2", Address: "198.18.0.2"}},
		{"POST", "/apps", `{"name":"web","server":"s1","kind":"nodejs","repository":"https://x/y.git","branch":"b","domains":["d.e"],"build":["make"],"start":"run","run_once":["migrate"],"root":"sub","health_path":"/up","options":{"k":"v"},"no_deploy":true}`, "CreateApp",
			control.AppWish{Name: "web", Server: "s1", Kind: "nodejs", Repository: "https://x/y.git", Branch: "b", Domains: []string{"d.e"}, NoDeploy: true,
				Spec: plane.Spec{Build: []string{"make"}, Start: "run", RunOnce: []string{"migrate"}, Root: "sub", HealthPath: "/up", Options: map[string]string{"k": "v"}}}},
		{"PATCH", "/apps/web", `{"repository":"r","options":{"drain":"5s"}}`, "ChangeApp", control.AppChange{Repository: str("r"), Options: map[string]string{"drain": "5s"}}},
		{"PATCH", "/apps/web", `{"branch":"b","domains":[],"start":"s"}`, "ChangeApp", control.AppChange{Branch: str("b"), Domains: &[]string{}, Start: str("s")}},
		{"PATCH", "/apps/web/variables", `{"values":{"A":"1\n\u0007\"$","b_":""}}`, "SetVariables", map[string]string{"A": "1\n\a\"$", "b_": ""}},
		{"POST", "/apps/web/variables/unset", `{"names":["A"]}`, "UnsetVariables", []string{"A"}},
		{"POST", "/apps/web/deployments", `{"ref":"v1"}`, "Deploy", control.DeployWish{Ref: "v1"}},
		{"POST", "/apps/web/load-balancer", `{"method":"ip-hash","acknowledge":["local_writes"]}`, "EnableBalancer", control.BalancerWish{Method: plane.IPHash, Acknowledge: []string{"local_writes"}}},
		{"GET", "/apps/web/backends/s1/history?changes=5&minutes=90", "", "BackendHistory", control.HistoryWish{Changes: 5, Reach: 90 * time.Minute}},
		{"POST", "/apps/web/backends", `{"server":"s2","weight":3,"backup":true}`, "AddBackend", control.BackendWish{Server: "s2", Weight: 3, Backup: true}},
		{"POST", "/apps/web/deployments", `{"ref":"v1","without":["s2","s3"]}`, "Deploy", control.DeployWish{Ref: "v1", Without: []string{"s2", "s3"}}},
		{"POST", "/apps/web/deployments", `{"rebuild":true}`, "Deploy", control.DeployWish{Rebuild: true}},
		{"POST", "/apps/web/variables/apply", `{"acknowledge":["memory"]}`, "ApplyVariables acknowledging", []string{"memory"}},
		{"POST", "/apps/web/variables/apply", ``, "ApplyVariables acknowledging", []string(nil)},
		{"POST", "/databases/shop/rotate-password", `{"acknowledge":["gap","memory"]}`, "RotatePassword acknowledging", []string{"gap", "memory"}},
		{"POST", "/databases/shop/rotate-password", ``, "RotatePassword acknowledging", []string(nil)},
		{"POST", "/apps/web/rollback", `{}`, "Rollback", control.RollbackWish{}},
		{"POST", "/apps/web/rollback", `{"deployment":"dep_1","without":["s2"]}`, "Rollback", control.RollbackWish{Deployment: "dep_1", Without: []string{"s2"}}},
		{"POST", "/apps/web/backends", `{"server":"s2","acknowledge":["disk"]}`, "AddBackend", control.BackendWish{Server: "s2", Acknowledge: []string{"disk"}}},
		{"POST", "/apps/web/backends/s2/off", `{"yes":true}`, "SwitchOff", true},
		{"POST", "/apps/web/backends/s2/off", ``, "SwitchOff", false},
		{"PATCH", "/apps/web/backends/s2", `{"weight":5,"backup":false,"yes":true}`, "SetBackend", control.BackendChange{Weight: ptr(5), Backup: ptr(false), Yes: true}},
		{"PATCH", "/apps/web/backends/s2", `{}`, "SetBackend", control.BackendChange{}},
		{"DELETE", "/apps/web/backends/s2?discard=true&yes=true", ``, "RemoveBackend", control.RemoveWish{Discard: true, Yes: true}},
		{"DELETE", "/apps/web/backends/s2", ``, "RemoveBackend", control.RemoveWish{}},
		{"PATCH", "/apps/web/load-balancer", `{"method":"ip-hash","health_path":"/h","interval":"20s","timeout":"2s","fall":3,"rise":4,"take_out":true,"floor":2,"name_header":true}`, "SetBalancer",
			control.BalancerChange{
				Method: ptr(plane.IPHash), HealthPath: str("/h"), Interval: ptr(plane.Duration(20 * time.Second)), Timeout: ptr(plane.Duration(2 * time.Second)),
				Fall: ptr(3), Rise: ptr(4), TakeOut: ptr(true), Floor: ptr(2), NameHeader: ptr(true),
			}},
		{"PATCH", "/apps/web/load-balancer", `{"take_out":false}`, "SetBalancer", control.BalancerChange{TakeOut: ptr(false)}},
		{"GET", "/apps/web/load-balancer/preview?method=ip-hash", ``, "PreviewBalancer", "web ip-hash"},
		{"POST", "/apps/web/load-balancer/disable", `{"remove_backends":true,"discard":true}`, "DisableBalancer", control.DisableWish{RemoveBackends: true, Discard: true}},
		{"DELETE", "/servers/s2?forget=true", ``, "RemoveServer of", "s2, forget true"},
		{"GET", "/runs?app=web&before=run_9&limit=3", ``, "Runs", control.RunFilter{App: "web", Before: "run_9", Limit: 3}},
		{"GET", "/runs", ``, "Runs", control.RunFilter{Limit: 50}},
		{"POST", "/host-key", `{"address":"198.18.0.2"}`, "HostKey", "198.18.0.2:22"},
		{"GET", "/apps/web/logs", ``, "Log", control.LogWish{Source: plane.LogApp, Lines: 200}},
		{"GET", "/apps/web/logs/follow?server=s2&source=nginx&lines=7", ``, "FollowLog", control.LogWish{Server: "s2", Source: plane.LogNginx, Lines: 7}},
		{"GET", "/panel-key", ``, "Authenticate", "127.0.0.1"},
	}
	for _, c := range cases {
		resp, body := l.ask(t, plane.RoleAdmin, c.method, "/api/v1"+c.path, c.body)
		if resp.StatusCode > 299 {
			t.Errorf("%s: %d %s", c.path, resp.StatusCode, body)
		}
		if diff := cmp.Diff(c.want, l.panel.Wish(c.verb)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.method, c.path, diff)
		}
	}
}

func TestWishesAboutPeopleArrive(t *testing.T) {
	const password = "told-to-nobody-42" // long enough that no random name in the log happens to hold it
	l := newLab(t)
	for _, c := range []struct {
		method, path, body, verb string
		want                     any
	}{
		{"POST", "/users", `{"email":"a@b.c","role":"viewer","password":"` + password + `"}`, "CreateUser", []string{"a@b.c", "viewer", password}},
		{"PATCH", "/users/usr_9", `{"role":"admin"}`, "SetRole", []string{"usr_9", "admin"}},
		{"DELETE", "/users/usr_9", "", "RemoveUser", "usr_9"},
		{"POST", "/tokens", `{"name":"ci"}`, "CreateToken", []string{"me@example.com", "ci"}},
		{"DELETE", "/tokens/tok_9", "", "RevokeToken", "tok_9"},
	} {
		if resp, body := l.ask(t, plane.RoleOwner, c.method, "/api/v1"+c.path, c.body); resp.StatusCode > 299 || strings.Contains(body, password) {
			t.Errorf("%s: %d %s", c.path, resp.StatusCode, body)
		}
		if diff := cmp.Diff(c.want, l.panel.Wish(c.verb)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.method, c.path, diff)
		}
	}
	if strings.Contains(l.log.String(), password) {
		t.Error("the log holds a password")
	}
}

func ptr[T any](v T) *T { return &v }

func TestNamesArrive(t *testing.T) {
	l := newLab(t)
	cases := []struct{ method, path, body, verb, want string }{
		{"GET", "/servers/s9", "", "Server", "s9"},
		{"DELETE", "/servers/s9", "", "RemoveServer", "s9"},
		{"POST", "/servers/s9/survey", "", "SurveyServer", "s9"},
		{"POST", "/servers/s9/provision", "", "ProvisionServer", "s9"},
		{"GET", "/apps/shop", "", "App", "shop"},
		{"PATCH", "/apps/shop", "{}", "ChangeApp of", "shop"},
		{"DELETE", "/apps/shop", "", "RemoveApp", "shop"},
		{"GET", "/apps/shop/variables", "", "Variables of", "shop"},
		{"GET", "/apps/shop/variables/reveal", "", "Variables of", "shop"},
		{"PATCH", "/apps/shop/variables", `{"values":{}}`, "SetVariables of", "shop"},
		{"POST", "/apps/shop/variables/unset", `{"names":[]}`, "UnsetVariables of", "shop"},
		{"POST", "/apps/shop/variables/apply", "", "ApplyVariables", "shop"},
		{"GET", "/apps/shop/deployments", "", "Deployments of", "shop"},
		{"POST", "/apps/shop/deployments", "{}", "Deploy of", "shop"},
		{"POST", "/apps/shop/rollback", "{}", "Rollback of", "shop"},
		{"GET", "/deployments/dep_9", "", "Deployment", "dep_9"},
		{"POST", "/deployments/dep_9/cancel", "", "CancelDeployment", "dep_9"},
		{"GET", "/apps/shop/load-balancer", "", "Balancer", "shop"},
		{"POST", "/apps/shop/load-balancer", "{}", "EnableBalancer of", "shop"},
		{"GET", "/apps/shop/backends", "", "Backends", "shop"},
		{"POST", "/apps/shop/backends", `{"server":"s9"}`, "AddBackend of", "shop"},
		{"GET", "/apps/shop/backends/s9", "", "Backend of", "shop"},
		{"GET", "/apps/shop/logs", "", "Log of", "shop"},
		{"GET", "/apps/shop/logs/follow", "", "FollowLog of", "shop"},
		{"GET", "/apps/shop/backends/s9/history", "", "BackendHistory of", "shop"},
		{"GET", "/apps/shop/backends/s9", "", "Backend", "s9"},
		{"POST", "/apps/shop/backends/s8/on", "", "SwitchOn of", "shop on s8"},
		{"POST", "/apps/shop/backends/s8/off", "", "SwitchOff of", "shop on s8"},
		{"POST", "/apps/shop/backends/s9/check", "", "CheckBackend of", "shop"},
		{"POST", "/apps/shop/backends/s9/check", "", "CheckBackend", "s9"},
		{"POST", "/apps/shop/backends/s9/repair", "", "RepairBackend of", "shop"},
		{"POST", "/apps/shop/backends/s9/repair", "", "RepairBackend", "s9"},
		{"PATCH", "/apps/shop/backends/s9", "{}", "SetBackend of", "shop on s9"},
		{"DELETE", "/apps/shop/backends/s9", "", "RemoveBackend of", "shop on s9"},
		{"PATCH", "/apps/shop/load-balancer", "{}", "SetBalancer of", "shop on "},
		{"GET", "/apps/shop/load-balancer/preview", "", "PreviewBalancer", "shop "},
		{"POST", "/apps/shop/load-balancer/disable", "", "DisableBalancer of", "shop"},
		{"GET", "/runs/run_9", "", "Run", "run_9"},
		{"GET", "/runs/run_9/events", "", "Events of", "run_9"},
		{"POST", "/runs/run_9/cancel", "", "CancelRun of", "run_9"},
	}
	for _, c := range cases {
		resp, body := l.ask(t, plane.RoleOwner, c.method, "/api/v1"+c.path, c.body)
		if got := l.panel.Wish(c.verb); resp.StatusCode > 299 || got != c.want {
			t.Errorf("%s %s: %d %s, %s called with %v", c.method, c.path, resp.StatusCode, body, c.verb, got)
		}
	}
}

func TestBadRequestsNameTheField(t *testing.T) {
	l := newLab(t)
	cases := []struct {
		method, path, body string
		status             int
		field, detail      string
	}{
		{"POST", "/servers", `{"name":"s2"}`, 422, "address", "is missing"},
		{"POST", "/servers", `{"name":"s2","address":"a","colour":1}`, 422, "colour", "is not known"},
		{"POST", "/servers", `{"name":7,"address":"hunter2"}`, 422, "name", "expected string"},
		{"POST", "/servers", `{"name":"a","address":"a","port":0}`, 422, "port", "expected number >= 1"},
		{"POST", "/servers", `{"name":"hunter2`, 400, "body", "cannot be read: unexpected end of JSON input"},
		{"POST", "/servers", "{\"name\":\"\xff\"}", 400, "body", "cannot be read: is not UTF-8 text"},
		{"POST", "/servers", `[]`, 422, "body", "cannot be read: expected object"},
		{"POST", "/servers", ``, 400, "body", "request body is required"},
		{"POST", "/apps/web/backends", `{"server":"s2","weight":0}`, 422, "weight", "expected number >= 1"},
		{"PATCH", "/apps/web/variables", `{"values":{"A":1}}`, 422, "values.A", "expected string"},
		{"PATCH", "/apps/web/variables", `{"values":{"A":null}}`, 422, "values.A", "expected string"},
		{"PATCH", "/apps/web/variables", `{}`, 422, "values", "is missing"},
		{"GET", "/runs?limit=many", ``, 422, "limit", "invalid integer"},
		{"GET", "/runs?limit=1000", ``, 422, "limit", "expected number <= 200"},
		{"GET", "/runs/run_%00", ``, 422, "path", "holds bytes that are not text"},
		{"GET", "/apps/%ff", ``, 422, "path", "holds bytes that are not text"},
		{"GET", "/runs?before=%00", ``, 422, "query", "holds bytes that are not text"},
		{"PATCH", "/apps/web/backends/s1", `{"weight":"5; reboot"}`, 422, "weight", "expected integer"},
		{"PATCH", "/apps/web/load-balancer", `{"interval":"soon"}`, 422, "interval", "expected string to be a duration such as 10s"},
		{"PATCH", "/apps/web/load-balancer", `{"timeout":"-1s"}`, 422, "timeout", "expected string to be a duration such as 10s"},
		{"PATCH", "/apps/web/load-balancer", `{"take_out":"yes"}`, 422, "take_out", "expected boolean"},
		{"DELETE", "/apps/web/backends/s1?discard=perhaps", ``, 422, "discard", "invalid boolean"},
		{"GET", "/runs?colour=red", ``, 422, "colour", "is not known"},
		{"GET", "/runs/run_1/events?wait=1h", ``, 422, "wait", "must be 0s to 25s"},
		{"GET", "/runs/run_1/events?after=-1", ``, 422, "after", "expected number >= 0"},
		{"POST", "/servers", strings.Repeat(" ", 2<<20), 413, "body", "request body is too large limit=1048576 bytes"},
	}
	for _, c := range cases {
		resp, body := l.ask(t, plane.RoleOwner, c.method, "/api/v1"+c.path, c.body)
		p := problem(t, body)
		if resp.StatusCode != c.status || p["field"] != c.field || p["detail"] != c.detail || p["code"] != "invalid" || p["hint"] == nil {
			t.Errorf("%s %s %.60s:\n%d %s\nwant %d %q %q", c.method, c.path, c.body, resp.StatusCode, body, c.status, c.field, c.detail)
		}
		if resp.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(body, "hunter2") {
			t.Errorf("%s %s: %s %s", c.method, c.path, resp.Header.Get("Content-Type"), body)
		}
	}
	if l.panel.Wish("AddServer") != nil {
		t.Error("a bad request reached the verb")
	}
}

func TestLargeVariables(t *testing.T) {
	l := newLab(t)
	values := map[string]string{}
	for i := range 100 {
		values["V"+string(rune('A'+i%26))+strings.Repeat("x", i)] = strings.Repeat("y", 100<<10)
	}
	body, err := json.Marshal(map[string]any{"values": values})
	if err != nil {
		t.Fatal(err)
	}
	if resp, answer := l.ask(t, plane.RoleOwner, "PATCH", "/api/v1/apps/web/variables", string(body)); resp.StatusCode != 204 {
		t.Fatalf("%d %s", resp.StatusCode, answer)
	}
	if diff := cmp.Diff(any(values), l.panel.Wish("SetVariables")); diff != "" {
		t.Error("changed on the way")
	}
}

func TestErrorsOfVerbs(t *testing.T) {
	l := newLab(t)
	l.panel.Fail("App", plane.NotFound("app", "web"))
	if resp, body := l.ask(t, plane.RoleOwner, "GET", "/api/v1/apps/web", ""); resp.StatusCode != 404 || problem(t, body)["hint"] == nil {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	l.panel.Fail("Apps", errors.New("the disk said hunter2"))
	resp, body := l.ask(t, plane.RoleOwner, "GET", "/api/v1/apps", "")
	id := resp.Header.Get("X-Request-Id")
	if resp.StatusCode != 500 || strings.Contains(body, "hunter2") || problem(t, body)["request_id"] != id {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if log := l.log.String(); !strings.Contains(log, "the disk said hunter2") || !strings.Contains(log, id) {
		t.Errorf("the log does not say why: %s", log)
	}
}

func TestWrongMethod(t *testing.T) {
	l := newLab(t)
	if resp, body := l.ask(t, plane.RoleOwner, "PUT", "/api/v1/servers", "{}"); resp.StatusCode != 405 || problem(t, body)["status"] != 405.0 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestHeadersAndLog(t *testing.T) {
	l := newLab(t)
	resp, _ := l.ask(t, plane.RoleOwner, "GET", "/api/v1/runs?app=hunter2", "")
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	log := l.log.String()
	if !strings.Contains(log, "path=/api/v1/runs status=200") || !strings.Contains(log, resp.Header.Get("X-Request-Id")) {
		t.Errorf("log: %s", log)
	}
	if strings.Contains(log, "hunter2") || strings.Contains(log, "spt_") {
		t.Errorf("the log tells a query or a token: %s", log)
	}
}

func TestDescription(t *testing.T) {
	l := newLab(t)
	resp, body := l.ask(t, plane.RoleViewer, "GET", "/api/v1/openapi.json", "")
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || resp.StatusCode != 200 || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("%d %v %.300s", resp.StatusCode, err, body)
	}
	for _, r := range l.web.Routes() {
		if strings.HasSuffix(r.Path, "/openapi.json") {
			continue
		}
		op, ok := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("%s %s is not described", r.Method, r.Path)
		}
		if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
			t.Errorf("%s %s: its errors are not described", r.Method, r.Path)
		}
	}
}

// Three shapes of the API tell of shared paths: what an app has, what is wished of a new one, and what is changed.
func TestDescriptionOfSharedPaths(t *testing.T) {
	l := newLab(t)
	_, body := l.ask(t, plane.RoleViewer, "GET", "/api/v1/openapi.json", "")
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Description string }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	for shape, field := range map[string]string{"App": "shared_folders", "AppWish": "options", "AppChange": "options"} {
		if got := doc.Components.Schemas[shape].Properties[field].Description; !strings.Contains(got, "not shared between servers") {
			t.Errorf("%s.%s: %q", shape, field, got)
		}
	}
}

func TestPanicIsOneBrokenRequest(t *testing.T) {
	l := newLab(t)
	l.panel.Fail("Servers", panicking{})
	if resp, body := l.ask(t, plane.RoleOwner, "GET", "/api/v1/servers", ""); resp.StatusCode != 500 || problem(t, body)["code"] != "internal" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := l.ask(t, plane.RoleOwner, "GET", "/api/v1/apps", ""); resp.StatusCode != 200 {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
}

type panicking struct{}

func (panicking) Error() string { panic("hunter2") }

// A waiting request ends when the panel stops, one under way is finished.
func TestRunStopsAtOnceForThoseWhoOnlyWait(t *testing.T) {
	l := newLab(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- l.web.Run(ctx, ln) }()
	l.url = "http://" + ln.Addr().String()
	status, waiting := make(chan int, 1), make(chan struct{})
	l.panel.During("Events", func() { close(waiting) })
	go func() {
		resp, _ := l.ask(t, plane.RoleViewer, "GET", "/api/v1/runs/run_1/events?wait=25s", "")
		status <- resp.StatusCode
	}()
	<-waiting
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second): // of the 25 s it would wait
		t.Fatal("did not stop")
	}
	if got := <-status; !slices.Contains([]int{200, 503}, got) {
		t.Errorf("the waiting request got %d", got)
	}
}
