package webtest

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// Browser asks for pages as somebody's browser does; it follows no redirect.
type Browser struct {
	t      testing.TB
	url    string
	cookie map[string]string
	Header http.Header // sent along, for what a browser would say of another site
}

// NewBrowser is the browser of somebody who is signed in with the role, or of
// nobody where it is empty.
func NewBrowser(t testing.TB, url string, role plane.Role) *Browser {
	b := &Browser{t: t, url: url, cookie: map[string]string{}, Header: http.Header{}}
	if role != "" {
		b.cookie["serverplane"] = Session(role)
	}
	return b
}

// Get asks for a page.
func (b *Browser) Get(path string) *Answer { return b.ask(http.MethodGet, path, nil) }

// Post sends a form of this panel: name and value by turns.
func (b *Browser) Post(path string, pairs ...string) *Answer {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.ask(http.MethodPost, path, form)
}

// Upload sends a form with a file in the field file; the others are name and
// value by turns. Without a name no file was chosen.
func (b *Browser) Upload(path, name, contents string, pairs ...string) *Answer {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, name)}}
	to, err := form.CreatePart(part)
	if err != nil {
		b.t.Fatal(err)
	}
	_, _ = io.WriteString(to, contents)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = form.WriteField(pairs[i], pairs[i+1])
	}
	_ = form.Close()
	return b.send(http.MethodPost, path, form.FormDataContentType(), &body)
}

// Ask sends a request with the method, without a form.
func (b *Browser) Ask(method, path string) *Answer { return b.ask(method, path, url.Values{}) }

func (b *Browser) ask(method, path string, form url.Values) *Answer {
	b.t.Helper()
	kind := ""
	if form != nil {
		kind = "application/x-www-form-urlencoded"
	}
	return b.send(method, path, kind, strings.NewReader(form.Encode()))
}

func (b *Browser) send(method, path, kind string, body io.Reader) *Answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range b.Header {
		req.Header[name] = values
	}
	for name, value := range b.cookie {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.keep(resp)
	return &Answer{t: b.t, what: method + " " + path, Status: resp.StatusCode, Header: resp.Header, Body: string(answer)}
}

func (b *Browser) keep(resp *http.Response) {
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookie, c.Name)
		} else {
			b.cookie[c.Name] = c.Value
		}
	}
}

// Answer is what a browser got.
type Answer struct {
	t      testing.TB
	what   string
	Status int
	Header http.Header
	Body   string
}

// Is holds that the answer has the status and its page all the texts.
func (a *Answer) Is(status int, texts ...string) *Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Errorf("%s: status %d, want %d: %s", a.what, a.Status, status, a.Body)
	}
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			a.t.Errorf("%s: the page lacks %q: %s", a.what, text, a.Body)
		}
	}
	return a
}

// Lacks holds that the page has none of the texts.
func (a *Answer) Lacks(texts ...string) *Answer {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.Body, text) {
			a.t.Errorf("%s: the page has %q: %s", a.what, text, a.Body)
		}
	}
	return a
}

// Leads holds that the answer sends the browser on to the address.
func (a *Answer) Leads(to string) *Answer {
	a.t.Helper()
	if got := a.Header.Get("Location"); a.Status != http.StatusSeeOther || got != to {
		a.t.Errorf("%s: status %d to %q, want 303 to %q: %s", a.what, a.Status, got, to, a.Body)
	}
	return a
}
