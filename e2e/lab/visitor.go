package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync/atomic"
	"time"
)

// visitor asks one page from one address, and keeps some connections.
type visitor struct {
	target   *url.URL
	from     netip.Addr
	patience time.Duration
	kept     chan *line // idle connections, the longest idle first
	sent     atomic.Int64
}

// line is one connection.
type line struct {
	conn net.Conn
	read *bufio.Reader
	used bool // it has carried an answer before
}

func newVisitor(target *url.URL, from netip.Addr, patience time.Duration) *visitor {
	return &visitor{target: target, from: from, patience: patience, kept: make(chan *line, 16)}
}

func (v *visitor) leave() {
	for {
		select {
		case l := <-v.kept:
			l.conn.Close()
		default:
			return
		}
	}
}

// ask sends one request and tells what became of it.
func (v *visitor) ask(post, keep bool) Event {
	e := Event{Sent: time.Now(), Post: post, From: v.from}
	body := v.body(post)
	a, err := v.try(&e, body, keep)
	if errors.Is(err, errClosed) {
		// The one repeat of RFC 9112 section 9.3.1, on a fresh connection.
		e.Closed = true
		a, err = v.fresh(body, keep)
	}
	e.Took = time.Since(e.Sent)
	e.Status, e.Server = a.status, a.about.Server
	e.Fate, e.Why = judge(a, err, body)
	return e
}

// body is unlike any other of this visitor's, up to 12 KiB; nil for a GET.
func (v *visitor) body(post bool) []byte {
	n := v.sent.Add(1)
	if !post {
		return nil
	}
	unit := fmt.Sprintf("body %d from %s; ", n, v.from)
	return bytes.Repeat([]byte(unit), 1+int(n*37%500))
}

func (v *visitor) try(e *Event, body []byte, keep bool) (answer, error) {
	if keep {
		select {
		case l := <-v.kept:
			e.Kept = true
			return v.over(l, body, true)
		default:
		}
	}
	return v.fresh(body, keep)
}

func (v *visitor) fresh(body []byte, keep bool) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), v.patience)
	defer cancel()
	d := net.Dialer{}
	if v.from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(v.from, 0))
	}
	port := v.target.Port()
	if port == "" {
		port = "80"
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(v.target.Hostname(), port))
	if err != nil {
		return answer{}, fmt.Errorf("connecting: %w", err)
	}
	return v.over(&line{conn: conn, read: bufio.NewReader(conn)}, body, keep)
}

// answer is what a visitor keeps of an answer.
type answer struct {
	status int
	about  about
}

// about is what the example app tells of itself and of what it was sent.
type about struct {
	Server string `json:"server"`
	Length int    `json:"length"`
	SHA256 string `json:"sha256"`
}

// over asks over a connection, which is kept afterwards if the server lets it be.
func (v *visitor) over(l *line, body []byte, keep bool) (answer, error) {
	kept := false
	defer func() {
		if !kept {
			l.conn.Close()
		}
	}()
	if err := l.conn.SetDeadline(time.Now().Add(v.patience)); err != nil {
		return answer{}, err
	}
	wrote := v.write(l, body, keep)
	if _, err := l.read.Peek(1); err != nil {
		if l.used && !errors.Is(err, os.ErrDeadlineExceeded) {
			return answer{}, errClosed
		}
		return answer{}, fmt.Errorf("no answer: %w", errors.Join(wrote, err))
	}
	resp, err := http.ReadResponse(l.read, &http.Request{Method: verb(body != nil)})
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return answer{status: resp.StatusCode}, fmt.Errorf("the answer breaks off: %w", err)
	}
	a := answer{status: resp.StatusCode}
	_ = json.Unmarshal(raw, &a.about) // what is not the app's answer has no server in it
	if kept = keep && !resp.Close && wrote == nil; kept {
		l.used = true
		kept = v.keep(l)
	}
	return a, nil
}

func (v *visitor) keep(l *line) bool {
	select {
	case v.kept <- l:
		return true
	default:
		return false
	}
}

func (v *visitor) write(l *line, body []byte, keep bool) error {
	req, err := http.NewRequest(verb(body != nil), v.target.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body == nil {
		req.Body, req.ContentLength = nil, 0
	}
	req.Close = !keep
	return req.Write(l.conn)
}

func verb(post bool) string {
	if post {
		return http.MethodPost
	}
	return http.MethodGet
}

// judge applies the definition of a lost request.
func judge(a answer, err error, body []byte) (Fate, string) {
	sum := sha256.Sum256(body)
	switch {
	case err != nil:
		return Lost, err.Error()
	case a.status >= 500 && a.about.Server != "":
		return Failed, fmt.Sprintf("%s answered %d", a.about.Server, a.status)
	case a.status >= 500:
		return Lost, fmt.Sprintf("%d from no app", a.status)
	case a.about.Server == "":
		return Mangled, fmt.Sprintf("%d that is not the app's", a.status)
	case body != nil && a.status == http.StatusOK && (a.about.Length != len(body) || a.about.SHA256 != hex.EncodeToString(sum[:])):
		return Mangled, fmt.Sprintf("%d bytes were sent, %s got %d with digest %q", len(body), a.about.Server, a.about.Length, a.about.SHA256)
	}
	return Served, ""
}
