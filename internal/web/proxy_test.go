package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

// Who asks is who a trusted proxy says, and nobody else's word counts.
func TestWhoAsksBehindAProxy(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted []netip.Prefix
		headers http.Header
		want    string
	}{
		{"nobody is trusted", nil, http.Header{"X-Forwarded-For": {"192.0.2.9"}}, "127.0.0.1"},
		{"another is trusted", prefixes("10.0.0.0/8"), http.Header{"X-Forwarded-For": {"192.0.2.9"}}, "127.0.0.1"},
		{"the proxy's word", prefixes("127.0.0.1/32"), http.Header{"X-Forwarded-For": {"192.0.2.9"}}, "192.0.2.9"},
		{"what the visitor wrote is further left", prefixes("127.0.0.1/32"), http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.9"}}, "192.0.2.9"},
		{"in a header of its own", prefixes("127.0.0.1/32"), http.Header{"X-Forwarded-For": {"198.51.100.1", "192.0.2.9"}}, "192.0.2.9"},
		{"two proxies", prefixes("127.0.0.1/32", "10.0.0.0/8"), http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.9, 10.1.2.3"}}, "192.0.2.9"},
		{"a mapped address", prefixes("127.0.0.1/32"), http.Header{"X-Forwarded-For": {"::ffff:192.0.2.9"}}, "192.0.2.9"},
		{"IPv6", prefixes("127.0.0.1/32"), http.Header{"X-Forwarded-For": {"2001:db8::9"}}, "2001:db8::9"},
		{"nonsense", prefixes("127.0.0.1/32"), http.Header{"X-Forwarded-For": {"192.0.2.9, <script>"}}, "127.0.0.1"},
		{"nothing", prefixes("127.0.0.1/32"), http.Header{}, "127.0.0.1"},
	} {
		panel := webtest.New()
		srv := httptest.NewServer(web.New(web.Config{Control: panel, Pages: panel, Trusted: c.trusted, Log: slog.New(slog.DiscardHandler)}).Handler())
		req, err := http.NewRequest("GET", srv.URL+"/api/v1/panel-key", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = c.headers.Clone()
		req.Header.Set("Authorization", "Bearer "+webtest.Token(plane.RoleViewer))
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		srv.Close()
		if got := panel.Wish("Authenticate"); got != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// A cookie is for TLS only where the visitor came over TLS, as far as the panel
// may believe it.
func TestCookieBehindAProxy(t *testing.T) {
	for _, c := range []struct {
		trusted []netip.Prefix
		proto   string
		secure  bool
	}{{nil, "https", false}, {prefixes("127.0.0.0/8"), "https", true}, {prefixes("127.0.0.0/8"), "http", false}, {prefixes("10.0.0.0/8"), "https", false},
		{prefixes("127.0.0.0/8"), "https, http", false}, {prefixes("127.0.0.0/8"), "http, https", true}} {
		panel := webtest.New()
		srv := httptest.NewServer(web.New(web.Config{Control: panel, Pages: panel, Trusted: c.trusted, Log: slog.New(slog.DiscardHandler)}).Handler())
		req, err := http.NewRequest("POST", srv.URL+"/sign-in", strings.NewReader("email=me%40example.com&password=correct+horse+battery"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Forwarded-Proto", c.proto)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		srv.Close()
		if cookie := resp.Header.Get("Set-Cookie"); strings.Contains(cookie, "Secure") != c.secure || strings.Contains(cookie, "__Host-") != c.secure {
			t.Errorf("%v, %s: %q", c.trusted, c.proto, cookie)
		}
	}
}
