package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// bench is one run. What it has made so far is what clear takes away.
type bench struct {
	options
	dir     string
	fleet   *fleet.Fleet
	machine machine
	topics  []topic
	begun   time.Time
}

func newBench(o options) *bench { return &bench{options: o, begun: time.Now()} }

const patience = 30 * time.Minute

func (b *bench) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() { err = errors.Join(err, b.clear()) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"throughput", b.throughput}, {"panel", b.panelTopics}, {"health", b.health}, {"prober", b.prober}, {"pages", b.pages},
	} {
		if !b.wantsPart(part.name) {
			continue
		}
		b.say("%s", part.name)
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.write()
}

// wantsPart: the topics that share three servers and a panel are one part.
func (b *bench) wantsPart(name string) bool {
	return b.wants(name) || name == "panel" && (b.wants("traffic") || b.wants("adding"))
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: %3.0f s  %s\n", time.Since(b.begun).Seconds(), fmt.Sprintf(format, args...))
}

// prepare makes the folder everything lives in, the program and a fleet.
func (b *bench) prepare(ctx context.Context) (err error) {
	b.machine = describeMachine(commit(ctx))
	if b.dir, err = os.MkdirTemp("", "serverplane-bench-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if b.binary == "" {
		if b.binary, err = lab.Build(ctx, b.dir); err != nil {
			return err
		}
	}
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return fmt.Errorf("find the serverplane program: %w", err)
	}
	b.fleet, err = fleet.New(fleet.Config{Log: os.Stderr, Packages: packages()})
	return err
}

// commit names what is measured; changes that are not committed are told.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (b *bench) write() error {
	b.machine.took = time.Since(b.begun)
	text := report(b.machine, b.topics)
	if b.out == "" {
		fmt.Print(text)
		return nil
	}
	return os.WriteFile(b.out, []byte(text), 0o644)
}

func (b *bench) clear() error {
	var err error
	if b.fleet != nil {
		err = b.fleet.Close()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// dismiss removes servers that no later topic needs.
func (b *bench) dismiss(ctx context.Context, servers ...*fleet.Server) error {
	for _, s := range servers {
		if err := b.fleet.Remove(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
