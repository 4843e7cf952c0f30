package lab_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/lab"
)

// reply is what the example app answers.
func reply(w http.ResponseWriter, r *http.Request, status int) {
	body, _ := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"server": "s1", "length": len(body), "sha256": hex.EncodeToString(sum[:])})
}

// look lets a crowd of 300 a second visit until it has seen n requests.
func look(t *testing.T, n int, c lab.Crowd, handler http.HandlerFunc) lab.Tally {
	t.Helper()
	s := httptest.NewServer(handler)
	defer s.Close()
	c.Rate = 300
	g, err := c.Gather(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for g.SoFar().Sent < n && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	return g.Stop()
}

func TestACrowdSendsEveryKindOfRequest(t *testing.T) {
	from := []netip.Addr{netip.MustParseAddr("127.0.0.5"), netip.MustParseAddr("127.0.1.5")}
	got := look(t, 400, lab.Crowd{From: from}, func(w http.ResponseWriter, r *http.Request) { reply(w, r, 200) })
	if got.Lost+got.Failed+got.Mangled+got.Closed > 0 || got.Served["s1"] != got.Sent {
		t.Errorf("%s; first: %s", got, got.First)
	}
	posts := 0
	for _, e := range got.Events {
		if e.Post {
			posts++
		}
	}
	if posts*10 < got.Sent*3 || posts*10 > got.Sent*7 || got.Kept*10 < got.Sent*2 || got.Kept*10 > got.Sent*7 {
		t.Errorf("of %d requests %d are POST and %d over kept connections", got.Sent, posts, got.Kept)
	}
	for _, a := range from {
		if n := got.By(a).Sent; n*10 < got.Sent*4 {
			t.Errorf("%d of %d come from %s", n, got.Sent, a)
		}
	}
	if late := drift(got.Events, 300); late.Abs() > 100*time.Millisecond {
		t.Errorf("%d requests of 300 a second end %s late", got.Sent, late)
	}
}

// drift is by how much the end of a crowd is behind an even rate, and its beginning is not: a wrong rate shows, a machine that
// lets the crowd wait for a moment does not, as the most punctual requests of both count.
func drift(events []lab.Event, rate int) time.Duration {
	sent := make([]time.Time, len(events))
	for i, e := range events {
		sent[i] = e.Sent
	}
	slices.SortFunc(sent, time.Time.Compare)
	late := make([]time.Duration, len(sent))
	for i := range sent {
		late[i] = sent[i].Sub(sent[0]) - time.Duration(i)*time.Second/time.Duration(rate)
	}
	return slices.Min(late[len(late)*3/4:]) - slices.Min(late[:len(late)/4])
}

func TestWhatACrowdCallsLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		want   func(lab.Tally) bool
	}{
		{"a 502 of a gateway", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "Bad Gateway", http.StatusBadGateway) },
			func(got lab.Tally) bool { return got.Lost == got.Sent }},
		{"the app's own 503", func(w http.ResponseWriter, r *http.Request) { reply(w, r, 503) },
			func(got lab.Tally) bool { return got.Failed == got.Sent }},
		{"the app's own 404", func(w http.ResponseWriter, r *http.Request) { reply(w, r, 404) },
			func(got lab.Tally) bool { return got.Served["s1"] == got.Sent }},
		{"a page of somebody else's", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("welcome")) },
			func(got lab.Tally) bool { return got.Mangled == got.Sent }},
		{"half a body", func(w http.ResponseWriter, r *http.Request) {
			r.Body = io.NopCloser(io.LimitReader(r.Body, 7))
			reply(w, r, 200)
		}, func(got lab.Tally) bool { return got.Mangled > 0 && got.Mangled+got.Served["s1"] == got.Sent }},
		{"a connection that ends without an answer", hangUp, func(got lab.Tally) bool { return got.Lost == got.Sent }},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
			func(got lab.Tally) bool { return got.Lost == got.Sent }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var crowd lab.Crowd
			if c.name == "no answer in time" {
				crowd.Patience = 300 * time.Millisecond
			}
			if got := look(t, 40, crowd, c.handle); got.Sent == 0 || !c.want(got) {
				t.Errorf("%s; first: %s", got, got.First)
			}
		})
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// TestAKeptConnectionThatCloses is no loss: the visitor repeats once, and that is counted.
func TestAKeptConnectionThatCloses(t *testing.T) {
	var n atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Connection") != "close" && n.Add(1)%5 == 0 {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
			return
		}
		reply(w, r, 200)
	})}
	got := look(t, 200, lab.Crowd{}, s.Handler.ServeHTTP)
	// A fresh connection that ends without an answer is lost all the same.
	for _, e := range got.Events {
		if e.Fate == lab.Lost && e.Kept && !e.Closed {
			t.Errorf("lost without a repeat: %+v", e)
		}
	}
	if got.Closed == 0 || got.Mangled > 0 || got.Lost > got.Closed {
		t.Errorf("%s; first: %s", got, got.First)
	}
}
