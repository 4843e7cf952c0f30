package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
)

// The crowd that the prober alone is measured with.
const (
	targets        = 5000
	probeInterval  = 10 * time.Second
	probedFor      = 40 * time.Second
	answerAddress  = "0.0.0.0:8080" // in a network namespace of its own
	helperAnswer   = "answer"
	helperProbe    = "probe"
	probeTimeLimit = 5 * time.Second
)

// probed is what the helper process tells of itself.
type probed struct {
	Asked, Failed int
	Core          float64 // per cent of one core
	Peak          float64 // MB
	Latency       sample  // milliseconds
}

// prober measures internal/probe alone, in a process and a network of its own.
func (b *bench) prober(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", helperProbe)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the prober's process: %w", err)
	}
	var p probed
	if err := json.Unmarshal(out, &p); err != nil {
		return fmt.Errorf("read what the prober's process told: %w", err)
	}
	b.topics = append(b.topics, p.topic())
	return nil
}

func (p probed) topic() topic {
	return topic{
		title: fmt.Sprintf("%d targets through the prober alone", targets),
		how: fmt.Sprintf("`internal/probe` in a process of its own, dialling directly on loopback, each target asked every %s on a fresh connection, for %s; the targets are "+
			"%d addresses of one small server in another process, whose processor time does not count.", probeInterval, probedFor, targets),
		rows: []row{
			{what: "processor", figure: fmt.Sprintf("%.1f %% of one core", p.Core)},
			{what: "memory (peak RSS)", figure: fmt.Sprintf("%.0f MB", p.Peak)},
			{what: "one question", figure: fmt.Sprintf("p50 %.1f ms, p95 %.1f ms", p.Latency.median(), p.Latency.at(0.95))},
			{what: "questions that failed", figure: fmt.Sprintf("%d of %d", p.Failed, p.Asked), target: "none", met: p.Failed == 0},
		},
	}
}

// help is what bench does when it is its own helper process.
func help(ctx context.Context, name string, _ []string) error {
	switch name {
	case helperAnswer:
		return answer(ctx)
	case helperProbe:
		return probeAll(ctx)
	}
	return fmt.Errorf("there is no helper %q; see -h", name)
}

// answer serves until it is killed, with the process that started it.
func answer(ctx context.Context) error {
	l, err := net.Listen("tcp", answerAddress)
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: probeTimeLimit,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Println("ready")
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// probeAll runs in a network namespace of its own, with nothing in it.
func probeAll(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("raise loopback: %w: %s", err, out)
	}
	server := exec.CommandContext(ctx, "/proc/self/exe", helperAnswer)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ready, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if _, err := ready.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	c := &crowd{prober: probe.New(direct{}, time.Now)}
	return json.NewEncoder(os.Stdout).Encode(c.measure(ctx))
}

// direct dials from here: no server lies between.
type direct struct{}

func (direct) Dial(ctx context.Context, _ remote.Target, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

func (direct) Check(context.Context, remote.Target) error { return nil }

// Stream is for servers that forbid forwarding.
func (direct) Stream(context.Context, remote.Target, remote.Command, func(string)) (remote.Result, error) {
	return remote.Result{}, errors.New("no command is run here")
}

type crowd struct {
	prober *probe.Prober
	all    sync.WaitGroup
	mu     sync.Mutex
	seen   probed
}

// measure asks all targets at an even pace; the first round only warms.
func (c *crowd) measure(ctx context.Context) probed {
	c.round(ctx, probeInterval)
	c.seen = probed{}
	begin, used := time.Now(), processorTime(os.Getpid())
	c.round(ctx, probedFor)
	c.seen.Core = 100 * (processorTime(os.Getpid()) - used).Seconds() / time.Since(begin).Seconds()
	c.seen.Peak = ownPeak()
	return c.seen
}

func (c *crowd) round(ctx context.Context, lasts time.Duration) {
	const pace = 10 * time.Millisecond
	const each = targets * int(pace) / int(probeInterval)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := range int(lasts / pace) {
		for i := range each {
			number := (n*each + i) % targets
			c.all.Go(func() { c.ask(ctx, number) })
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	c.all.Wait()
}

func (c *crowd) ask(ctx context.Context, number int) {
	address := fmt.Sprintf("127.1.%d.%d:8080", number/250, number%250+1)
	p := c.prober.Ask(ctx, probe.Question{
		FromName: "here", Address: address, Host: "app.example.com", Path: "/", Visitor: "192.0.2.1", Timeout: probeTimeLimit,
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Asked++
	if p.Verdict != plane.Pass {
		c.seen.Failed++
	}
	c.seen.Latency.add(p.Latency)
}
