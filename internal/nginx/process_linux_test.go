package nginx_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// process is an app's process: it tells who answered and what reached it.
type process struct {
	server *http.Server
	hits   atomic.Int64
}

// serve starts a process at address that answers with handler; nil: it echoes, as "name: body".
func serve(t *testing.T, name, address string, handler http.HandlerFunc) *process {
	t.Helper()
	p := &process{}
	if handler == nil {
		handler = echo(name)
	}
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		handler(w, r)
	})}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go p.server.Serve(l)
	t.Cleanup(func() { p.server.Close() })
	return p
}

// echo answers with what came in; a path /code/N sets the status.
func echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for k, v := range r.Header {
			w.Header()["Seen-"+k] = v
		}
		w.Header().Set("Seen-Host", r.Host)
		w.Header().Set("X-Serverplane-Refused", "forged by the app")
		if code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/code/")); err == nil {
			w.WriteHeader(code)
		}
		fmt.Fprintf(w, "%s: %s", name, body)
	}
}

type answer struct {
	code   int
	header http.Header
	body   string
	close  bool // the connection ends with this answer
}

func request(method, url, body string) *http.Request {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	return r
}

// send asks once over a fresh connection and never repeats.
func send(r *http.Request) (answer, error) {
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	return over(transport, r)
}

func over(transport *http.Transport, r *http.Request) (answer, error) {
	r.GetBody = nil // an http.Transport repeats only what it can read again
	client := &http.Client{Transport: transport, Timeout: patient, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body), res.Close}, err
}

func ask(t *testing.T, r *http.Request) answer {
	t.Helper()
	a, err := send(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
