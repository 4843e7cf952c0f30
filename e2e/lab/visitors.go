package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Visitors send requests at a steady pace, GET and POST in turn, each on a fresh
// connection, and count what they lost: a connection error or an answer 5xx.
// They neither look nor retry.
type Visitors struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	mu     sync.Mutex
	count  Count
}

// Count is what visitors saw.
type Count struct {
	Sent   int
	Lost   int
	Told   int            // of the lost: those who were told when to come back
	Untold int            // of the lost: those of the others who only wanted to read
	Served map[string]int // by server name
	First  string         // the first loss of the others, in words
}

// Visit begins to send a request to url every pace. It stops by itself after
// ten minutes.
func Visit(url string, pace time.Duration) *Visitors {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	v := &Visitors{cancel: cancel, count: Count{Served: map[string]int{}}}
	v.all.Go(func() { v.run(ctx, url, pace) })
	return v
}

func (v *Visitors) run(ctx context.Context, url string, pace time.Duration) {
	client := &http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.all.Go(func() { v.send(client, url, n%2 == 1) })
		}
	}
}

const body = "a body that must arrive whole"

func (v *Visitors) send(client *http.Client, url string, post bool) {
	begin := time.Now()
	resp, err := request(client, url, post)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count.Sent++
	if err == nil && resp.status < 500 {
		v.count.Served[resp.server]++
		return
	}
	v.count.Lost++
	if resp.status == http.StatusServiceUnavailable && resp.later != "" {
		v.count.Told++
		return
	}
	if !post {
		v.count.Untold++
	}
	if v.count.First == "" {
		v.count.First = fmt.Sprintf("%s post=%v after %s: status %d, %v", begin.Format(time.TimeOnly), post, time.Since(begin), resp.status, err)
	}
}

// reply is what a visitor keeps of an answer.
type reply struct {
	status int
	server string
	later  string // Retry-After
}

func request(client *http.Client, url string, post bool) (reply, error) {
	method, payload := http.MethodGet, ""
	if post {
		method, payload = http.MethodPost, body
	}
	req, err := http.NewRequest(method, url, strings.NewReader(payload))
	if err != nil {
		return reply{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return reply{status: resp.StatusCode, server: serverIn(raw), later: resp.Header.Get("Retry-After")}, err
}

// Stop ends the visit, waits for answers under way and tells what was seen.
func (v *Visitors) Stop() Count {
	v.cancel()
	v.all.Wait()
	return v.count
}

// Spread sends n requests one after the other and counts who served.
func Spread(url string, n int) (Count, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	c := Count{Served: map[string]int{}}
	for range n {
		c.Sent++
		r, err := request(client, url, false)
		if err != nil || r.status != http.StatusOK {
			c.Lost++
			return c, fmt.Errorf("request %d: status %d: %w", c.Sent, r.status, err)
		}
		c.Served[r.server]++
	}
	return c, nil
}

// serverIn reads the name of the server from the example app's answer.
func serverIn(raw []byte) string {
	var about struct {
		Server string `json:"server"`
	}
	if json.Unmarshal(raw, &about) != nil {
		return "?"
	}
	return about.Server
}
