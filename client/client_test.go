package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func panel(t *testing.T, h http.HandlerFunc, o Options) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL+"/", "spt_secret", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:7080": true, "https://panel.example.com/sub/": true, "http://[::1]:1": true,
		"": false, "panel.example.com": false, "ftp://x": false, "http://": false, "http://u:p@x": false, "http://x?y": false,
	} {
		if _, err := New(address, "t", Options{}); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestPrivate(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:1": true, "http://localhost": true, "http://[::1]": true, "https://panel.example.com": true,
		"http://panel.example.com": false, "http://198.18.0.1": false,
	} {
		c, err := New(address, "t", Options{})
		if err != nil || c.Private() != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestNamesAreEscaped(t *testing.T) {
	var path string
	c := panel(t, func(w http.ResponseWriter, r *http.Request) { path = r.URL.EscapedPath(); _, _ = w.Write([]byte("{}")) }, Options{})
	if _, err := c.App(context.Background(), "../a/b?c"); err != nil {
		t.Fatal(err)
	}
	if path != "/api/v1/apps/..%2Fa%2Fb%3Fc" {
		t.Error(path)
	}
}

func TestErrorOfThePanel(t *testing.T) {
	c := panel(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(422)
		_, _ = w.Write([]byte(`{"type":"about:blank","status":422,"detail":"is bad","code":"invalid","field":"name","hint":"use web"}`))
	}, Options{})
	_, err := c.Apps(context.Background())
	e, ok := errors.AsType[*Error](err)
	if !ok || *e != (Error{Status: 422, Code: "invalid", Message: "is bad", Field: "name", Hint: "use web"}) {
		t.Fatalf("%+v", err)
	}
	if e.Error() != "name: is bad (use web)" {
		t.Error(e)
	}
}

func TestSomethingElseThanAPanel(t *testing.T) {
	c := panel(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, Options{})
	_, err := c.Apps(context.Background())
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != "unavailable" || e.Status != 502 || e.Hint == "" {
		t.Errorf("%+v", err)
	}
}

// The token must not follow a redirect to elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	c := panel(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, Options{})
	if _, err := c.Apps(context.Background()); err == nil || elsewhere != 0 || strings.Contains(err.Error(), "spt_") {
		t.Errorf("%v, %d requests elsewhere", err, elsewhere)
	}
}

func TestDurationsTravelAsGoText(t *testing.T) {
	raw, err := json.Marshal(HealthCheck{Path: "/", Interval: Duration(90 * time.Second)})
	if err != nil || !strings.Contains(string(raw), `"interval":"1m30s"`) {
		t.Fatalf("%s %v", raw, err)
	}
	var h HealthCheck
	if err := json.Unmarshal(raw, &h); err != nil || h.Interval != Duration(90*time.Second) {
		t.Errorf("%+v %v", h, err)
	}
	if err := json.Unmarshal([]byte(`{"interval":"soon"}`), &h); err == nil {
		t.Error("accepted soon")
	}
}

func TestFollowGivesUpInTheEnd(t *testing.T) {
	told := 0
	c := panel(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		Options{Patience: 300 * time.Millisecond, Away: func(error) { told++ }})
	_, err := c.FollowRun(context.Background(), "run_1", 0, func(Event) { t.Error("a line from nowhere") })
	if err == nil || !strings.Contains(err.Error(), "away") || told == 0 {
		t.Errorf("%v, told %d times", err, told)
	}
}

func TestFollowDoesNotRepeatARefusal(t *testing.T) {
	asked := 0
	c := panel(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(404)
		_, _ = w.Write([]byte(`{"code":"not_found","detail":"no run"}`))
	}, Options{})
	if _, err := c.FollowRun(context.Background(), "run_1", 0, func(Event) {}); err == nil || asked != 1 {
		t.Errorf("%v after %d requests", err, asked)
	}
}

// Lines written between the last look and the end are not lost, and a line
// sent twice is told once.
func TestFollowReadsWhatCameBeforeTheEnd(t *testing.T) {
	answers := []string{
		`{"items":[{"seq":3,"text":"c"},{"seq":4,"text":"d"}]}`, // after 3: seq 3 comes again
		`{"items":[]}`,
		`{"id":"run_1","state":"succeeded"}`,
		`{"items":[{"seq":5,"text":"e"}]}`,
		`{"items":[]}`,
	}
	c := panel(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(answers[0]))
		answers = answers[1:]
	}, Options{})
	var seen []string
	run, err := c.FollowRun(context.Background(), "run_1", 3, func(e Event) { seen = append(seen, e.Text) })
	if err != nil || run.State != "succeeded" || strings.Join(seen, "") != "de" {
		t.Errorf("%v %v %v", seen, run.State, err)
	}
}
