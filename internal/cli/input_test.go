package cli_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // to read rows behind the store's back

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
	"github.com/serverplane/serverplane/internal/web"
)

// house is a real panel but for its servers: s1 and s2 serve web, s1 the one
// that is healthy; s3 serves nothing; late was never live.
type house struct {
	*testing.T
	store *store.Store
	verbs *control.Control
	rows  *sql.DB
	url   string
	token string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{T: t}
	var err error
	if h.store, err = store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "panel.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	box, err := secret.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if h.rows, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "panel.db")+"?_pragma=query_only(1)&_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.rows.Close() })
	h.verbs = control.New(control.Config{
		Store: h.store, Box: box, Hub: stream.New(), Now: time.Now, PanelID: "pnl_me", Patience: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	h.furnish()
	srv := httptest.NewServer(web.New(web.Config{Control: h.verbs, Log: slog.New(slog.DiscardHandler), Version: "test"}).Handler())
	t.Cleanup(srv.Close)
	h.url = srv.URL
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("SERVERPLANE_URL", h.url)
	t.Setenv("SERVERPLANE_TOKEN", h.token)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) write(fn func(ctx context.Context, tx *store.Tx) error) {
	h.Helper()
	h.must(h.store.Write(h.Context(), func(tx *store.Tx) error { return fn(h.Context(), tx) }))
}

// furnish makes the servers, the apps and a person.
func (h *house) furnish() {
	h.Helper()
	me := plane.Actor{Email: "me@example.com", Role: plane.RoleOwner, From: "test"}
	_, err := h.verbs.CreateUser(h.Context(), me, "me@example.com", plane.RoleOwner, "correct horse battery")
	h.must(err)
	h.token, err = h.verbs.CreateToken(h.Context(), me, "me@example.com", "test")
	h.must(err)
	for n := 1; n <= 3; n++ {
		address := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
		h.write(func(ctx context.Context, tx *store.Tx) error {
			return tx.CreateServer(ctx, plane.Server{
				ID: plane.NewID(plane.PrefixServer), Name: fmt.Sprintf("s%d", n), Address: address, PrivateAddress: address, SSHPort: 22,
				State: plane.ServerReady, Survey: plane.Survey{OSFamily: "debian"}, CreatedAt: time.Now(),
			})
		})
	}
	for _, name := range []string{"web", "late"} {
		_, _, err := h.verbs.CreateApp(h.Context(), me, control.AppWish{Kind: plane.KindNodeJS,
			Name: name, Server: "s1", Repository: "https://example.com/x.git", Domains: []string{name + ".example.com"}, NoDeploy: true,
		})
		h.must(err)
	}
	h.live(me)
}

// live plays the runner: web is live, balanced, and on s1 and s2.
func (h *house) live(me plane.Actor) {
	h.Helper()
	d, _, err := h.verbs.Deploy(h.Context(), me, "web", control.DeployWish{})
	h.must(err)
	lb := plane.NewLoadBalancer()
	lb.Status = plane.BalancerOn
	h.write(func(ctx context.Context, tx *store.Tx) error {
		r, _, err := tx.Claim(ctx, "panel-1", time.Now(), time.Hour)
		h.must(err)
		h.must(tx.Finish(ctx, r.ID, r.Owner, r.Attempt, plane.RunSucceeded, "", time.Now()))
		h.must(tx.SetLive(ctx, d.AppID, plane.SlotA, d.ID))
		h.must(tx.SetAppState(ctx, d.AppID, plane.AppLive, "", time.Now()))
		return tx.SetBalancer(ctx, d.AppID, lb)
	})
	run, err := h.verbs.AddBackend(h.Context(), me, "web", control.BackendWish{Server: "s2"})
	h.must(err)
	h.write(func(ctx context.Context, tx *store.Tx) error {
		r, _, err := tx.Claim(ctx, "panel-1", time.Now(), time.Hour)
		h.must(err)
		h.must(tx.Finish(ctx, r.ID, r.Owner, r.Attempt, plane.RunSucceeded, "", time.Now()))
		all, err := tx.BackendsOf(ctx, run.AppID)
		for _, b := range all {
			b.Placed, b.DeploymentID = true, d.ID
			h.must(tx.UpdateBackend(ctx, b))
			state := map[bool]plane.BackendState{true: plane.BackendHealthy, false: plane.BackendUnhealthy}[b.Primary]
			h.must(tx.SetHealth(ctx, b.ID, plane.Health{State: state}))
		}
		return err
	})
}

// contents is every table as text; when a token was used is no change.
func (h *house) contents() map[string][]string {
	h.Helper()
	all := map[string][]string{}
	for _, table := range h.column("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'tokens'") {
		columns := ""
		for _, c := range h.column("SELECT name FROM pragma_table_info('" + table + "')") {
			columns += " || '|' || quote(" + c + ")"
		}
		all[table] = h.column("SELECT ''" + columns + " FROM " + table + " ORDER BY 1")
	}
	if len(all["backends"]) != 3 || len(all["audits"]) < 5 {
		h.Fatalf("the tables are not read: %d backends, %d audit lines", len(all["backends"]), len(all["audits"]))
	}
	return all
}

func (h *house) column(query string) []string {
	h.Helper()
	rows, err := h.rows.QueryContext(h.Context(), query)
	h.must(err)
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var text string
		h.must(rows.Scan(&text))
		all = append(all, text)
	}
	h.must(rows.Err())
	return all
}

// hostile are names made to become shell, Jinja, systemd, Nginx, SQL or a path.
func hostile() []string {
	return []string{
		"$(id)", "`id`", "a;b", "a|b", "{{7*7}}", "{% raw %}", "%i", "%00", "' OR 1=1 --", "a'b", "a\nb", "a b", "../../etc", "a/b", "a;}\nserver{",
		"-rf", "--help", "A", "é", "", "a-", strings.Repeat("a", 25), "web\x00", "\x1b[2J",
	}
}

// TestBadInputAtTheCommandLine: exit 1 or 2, words for a person and a way out,
// nothing changed, nothing queued.
func TestBadInputAtTheCommandLine(t *testing.T) {
	h := newHouse(t)
	before := h.contents()
	type typed struct {
		code  int
		words []string
	}
	cases := []typed{
		{1, []string{"backend", "off", "web", "s9"}}, {1, []string{"backend", "off", "nope", "s1"}}, {1, []string{"backend", "off", "web", "s3"}},
		{2, []string{"backend", "off", "web", "s1"}}, // the last healthy one
		{2, []string{"backend", "set", "web", "s1", "--backup"}}, {2, []string{"backend", "remove", "web"}},
		{1, []string{"backend", "remove", "web", "s1"}}, {1, []string{"backend", "on", "late", "s1"}}, {1, []string{"backend", "check", "web", "s3"}},
		{2, []string{"backend", "set", "web", "s2"}}, {2, []string{"backend", "set", "web", "s2", "--weight", "0"}},
		{2, []string{"backend", "set", "web", "s2", "--weight", "101"}}, {2, []string{"backend", "set", "web", "s2", "--weight", "many"}},
		{2, []string{"backend", "add", "web", "s3", "--weight", "-1"}}, {1, []string{"backend", "add", "web", "s2"}}, {1, []string{"backend", "add", "web", "s1"}},
		{1, []string{"backend", "add", "late", "s3"}}, {1, []string{"backend", "add", "web", "s3", "--acknowledge", "everything"}},
		{2, []string{"lb", "set", "web"}}, {1, []string{"lb", "set", "web", "--method", "random"}}, {1, []string{"lb", "set", "web", "--method", "ip_hash;"}},
		{1, []string{"lb", "set", "web", "--interval", "0s"}}, {1, []string{"lb", "set", "web", "--interval", "6m"}}, {2, []string{"lb", "set", "web", "--interval", "soon"}},
		{1, []string{"lb", "set", "web", "--interval", "-5s"}}, {1, []string{"lb", "set", "web", "--timeout", "11s"}}, {1, []string{"lb", "set", "web", "--fall", "0"}},
		{1, []string{"lb", "set", "web", "--rise", "11"}}, {1, []string{"lb", "set", "web", "--floor", "3"}}, {1, []string{"lb", "set", "web", "--floor", "-1"}},
		{1, []string{"lb", "set", "web", "--health-path", "up"}}, {1, []string{"lb", "set", "web", "--health-path", "/\nHost: x"}}, {1, []string{"lb", "set", "web", "--health-path", "/{{7*7}}"}},
		{1, []string{"lb", "preview", "web", "--method", "random"}}, {1, []string{"lb", "disable", "late"}}, {2, []string{"lb", "disable", "web", "--discard"}},
		{2, []string{"lb", "enable", "late"}}, {1, []string{"lb", "enable", "late", "--yes"}}, {1, []string{"lb", "enable", "web", "--yes"}},
		{1, []string{"deploy", "web", "--without", "s1"}}, {1, []string{"deploy", "web", "--without", "s2", "--without", "s2"}}, {1, []string{"deploy", "web", "--without", "$(id)"}},
		{1, []string{"deploy", "web", "--ref", "--upload-pack=x"}}, {1, []string{"server", "remove", "s1", "--yes"}}, {1, []string{"server", "remove", "s2", "--forget", "--yes"}},
		{1, []string{"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", "https://example.com/x.git", "--domain", "other.example.com"}},
	}
	for _, name := range hostile() {
		for _, words := range [][]string{{"backend", "off", name, "s1"}, {"backend", "off", "web", name}, {"backend", "remove", "web", name}, {"backend", "add", "web", name}, {"lb", "disable", name}} {
			cases = append(cases, typed{0, words})
		}
	}
	for _, c := range cases {
		out, errs, code := exec(t, "", c.words...)
		if code != c.code && (c.code != 0 || code != 1 && code != 2) || !strings.HasPrefix(errs, "error: ") && !strings.Contains(errs, "\nerror: ") {
			if strings.Contains(out, "Usage:") {
				continue // "--help" in place of a name is no name
			}
			t.Errorf("%q: exit %d, want %d\n%s%s", c.words, code, c.code, out, errs)
		}
		if strings.ContainsAny(errs, "\x00\x1b") || strings.Contains(errs, "request req_") {
			t.Errorf("%q: %q", c.words, errs)
		}
		if !strings.Contains(errs, "hint: ") && !strings.Contains(errs, "must be") && !strings.Contains(errs, "say what") && !strings.Contains(errs, "goes with") {
			t.Errorf("%q: no way out is told: %s", c.words, errs)
		}
	}
	if diff := cmp.Diff(before, h.contents()); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

// TestBadInputAtTheAPI: a problem document with code, detail and hint, and the
// field where there is one; nothing changed, nothing queued.
func TestBadInputAtTheAPI(t *testing.T) {
	h := newHouse(t)
	before := h.contents()
	type asked struct {
		method, path, body string
		status             int
		field              string
	}
	cases := []asked{
		{"POST", "/apps/web/backends/s1/off", "{}", 409, "yes"},
		{"POST", "/apps/web/backends/s1/off", `{"yes":"true"}`, 422, "yes"},
		{"POST", "/apps/web/backends/s3/off", "{}", 404, ""},
		{"POST", "/apps/late/backends/s1/on", "", 409, ""},
		{"PATCH", "/apps/web/backends/s1", `{"backup":true}`, 409, "yes"},
		{"PATCH", "/apps/web/backends/s2", `{"weight":0}`, 422, "weight"},
		{"PATCH", "/apps/web/backends/s2", `{"weight":1.5}`, 422, "weight"},
		{"PATCH", "/apps/web/backends/s2", `{"colour":"red"}`, 422, "colour"},
		{"DELETE", "/apps/web/backends/s1", "", 409, ""},
		{"DELETE", "/apps/web/backends/s2?yes=maybe", "", 422, "yes"},
		{"POST", "/apps/web/backends", `{"server":"s3","acknowledge":["all"]}`, 422, "acknowledge"},
		{"POST", "/apps/web/backends", `{"server":"s9"}`, 404, "server"},
		{"POST", "/apps/web/backends", `{"server":"s2"}`, 409, ""},
		{"PATCH", "/apps/web/load-balancer", `{"method":"random"}`, 422, "method"},
		{"PATCH", "/apps/web/load-balancer", `{"interval":"500ms"}`, 422, "interval"},
		{"PATCH", "/apps/web/load-balancer", `{"interval":"soon"}`, 422, "interval"},
		{"PATCH", "/apps/web/load-balancer", `{"interval":10}`, 422, "interval"},
		{"PATCH", "/apps/web/load-balancer", `{"interval":"99999999999h"}`, 422, ""},
		{"PATCH", "/apps/web/load-balancer", `{"timeout":"20s"}`, 422, "timeout"},
		{"PATCH", "/apps/web/load-balancer", `{"fall":11}`, 422, "fall"},
		{"PATCH", "/apps/web/load-balancer", `{"floor":9}`, 422, "floor"},
		{"PATCH", "/apps/web/load-balancer", `{"health_path":"/a b"}`, 422, "health_path"},
		{"GET", "/apps/web/load-balancer/preview?method=a;b", "", 422, ""},
		{"POST", "/apps/late/load-balancer/disable", "", 409, ""},
		{"POST", "/apps/web/load-balancer/disable", `{"discard":true}`, 422, "discard"},
		{"POST", "/apps/web/deployments", `{"without":["s1"]}`, 422, "without"},
		{"POST", "/apps/web/deployments", `{"without":["s9"]}`, 404, "without"},
		{"GET", "/apps/web%00/backends", "", 422, "path"},
	}
	for _, name := range hostile() {
		quoted, err := json.Marshal(name)
		h.must(err)
		cases = append(cases, asked{"POST", "/apps/web/backends", `{"server":` + string(quoted) + `}`, 404, "server"})
		if escaped := url.PathEscape(name); name != "" && !strings.Contains(name, "..") {
			cases = append(cases, asked{"POST", "/apps/" + escaped + "/backends/s1/off", "{}", 0, ""}, asked{"DELETE", "/apps/web/backends/" + escaped, "", 0, ""})
		}
	}
	for _, c := range cases {
		status, p := h.ask(c.method, c.path, c.body)
		if status != c.status && (c.status != 0 || status != 404 && status != 422) || c.field != "" && p["field"] != c.field {
			t.Errorf("%s %s %s: %d %v, want %d at %q", c.method, c.path, c.body, status, p, c.status, c.field)
		}
		if p["code"] == nil || p["detail"] == nil || p["hint"] == nil {
			t.Errorf("%s %s %s: %v does not tell everything", c.method, c.path, c.body, p)
		}
	}
	if diff := cmp.Diff(before, h.contents()); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

func (h *house) ask(method, path, body string) (int, map[string]any) {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), method, h.url+"/api/v1"+path, strings.NewReader(body))
	h.must(err)
	req.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultTransport.RoundTrip(req)
	h.must(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	h.must(err)
	var p map[string]any
	if err := json.Unmarshal(raw, &p); err != nil {
		h.Errorf("%s %s: %d %q", method, path, resp.StatusCode, raw)
	}
	return resp.StatusCode, p
}
