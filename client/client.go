// Package client speaks to a ServerPlane panel: typed methods for its API and
// the types that travel. It uses the standard library only.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	prefix    = "/api/v1"
	maxAnswer = 64 << 20 // bytes of one answer
)

// Client speaks to one panel as one user. It may be used from any goroutine.
type Client struct {
	base     string
	token    string
	http     *http.Client
	away     func(error)
	patience time.Duration
}

// Options change how a Client behaves; the zero value is fine.
type Options struct {
	HTTP     *http.Client  // nil: one of its own that follows no redirect
	Away     func(error)   // told each time FollowRun cannot reach the panel
	Patience time.Duration // how long FollowRun waits for a panel that is away; 0: 10 minutes
}

// New returns a client of the panel at address, for example
// https://panel.example.com, that signs in with token.
func New(address, token string, o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("panel address %q must look like https://panel.example.com", address)
	}
	c := &Client{base: u.String(), token: token, http: o.HTTP, away: o.Away, patience: o.Patience}
	if c.http == nil {
		c.http = newHTTP()
	}
	if c.patience == 0 {
		c.patience = 10 * time.Minute
	}
	return c, nil
}

// newHTTP bounds connecting, never answering: adding a server takes its time.
func newHTTP() *http.Client {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
	// A redirect could carry the token elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, CheckRedirect: stay}
}

// Private tells whether nobody between here and the panel can read what is
// sent: TLS, or a panel on this machine.
func (c *Client) Private() bool {
	u, err := url.Parse(c.base)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// call sends in as JSON (nil: no body) and reads the answer into out (nil:
// thrown away). What the panel refuses comes back as *Error.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	req, err := c.request(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the panel: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the panel's answer: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return readError(resp.StatusCode, body)
	}
	if out == nil || len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read the panel's answer: %w", err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	target := c.base + prefix + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	return req, nil
}

// withoutURL keeps queries out of error texts.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// join builds a path of segments, each escaped.
func join(segments ...string) string {
	var out strings.Builder
	for _, s := range segments {
		out.WriteString("/" + url.PathEscape(s))
	}
	return out.String()
}

func fetch[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (T, error) {
	var out T
	err := c.call(ctx, method, path, query, in, &out)
	return out, err
}
