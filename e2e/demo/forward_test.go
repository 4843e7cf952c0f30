package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestForwardPassesRequestsOn(t *testing.T) {
	entry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer entry.Close()
	f, err := openForward(entry.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(f.url(), "http://127.0.0.1:") {
		t.Errorf("the entry is reached at %s, expected loopback only", f.url())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	sent := strings.Repeat("a body ", 100_000)
	for range 3 {
		resp, err := client.Post(f.url(), "text/plain", strings.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != sent {
			t.Fatalf("got %d bytes back (%v), expected the %d that were sent", len(got), err, len(sent))
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(f.url()); err == nil {
		t.Error("the port still answers after close")
	}
}

// A browser keeps its connection open; the demo must end all the same.
func TestForwardCloseEndsOpenConnections(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f, err := openForward(silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	visitor, err := net.Dial("tcp", f.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer visitor.Close()
	reached, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer reached.Close()
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := visitor.Read(make([]byte, 1)); err == nil {
		t.Error("the visitor's connection is still open")
	}
}
