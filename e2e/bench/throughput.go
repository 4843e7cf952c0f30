package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// The comparison: 64 connections, answers of 1 KiB, three backends.
const (
	connections = 64
	answerBytes = 1024
	roundTime   = "1s" // short, and many of them: what disturbs comes and goes
)

// yard is the set of servers throughput is measured on.
type yard struct {
	balancer, visitor *fleet.Server
	backends          []*fleet.Server
}

func (y yard) all() []*fleet.Server {
	return append([]*fleet.Server{y.balancer, y.visitor}, y.backends...)
}

func (b *bench) throughput(ctx context.Context) error {
	y, err := b.makeYard(ctx)
	if err != nil {
		return err
	}
	all, err := y.candidates()
	if err != nil {
		return err
	}
	if err := y.install(ctx, all); err != nil {
		return err
	}
	b.machine.software = append(b.machine.software, y.versions(ctx)...)
	rates, err := b.compare(ctx, y, all)
	if err != nil {
		return err
	}
	b.topics = append(b.topics, throughputTopic(rates, b.rounds))
	return b.dismiss(ctx, y.all()...)
}

// packages are what servers bring: those the panel installs, so that nothing
// here measures a package mirror, and what the yard needs. None of it runs
// until it is started.
func packages() []string { return append(lab.Packages(), "haproxy", "wrk") }

func (b *bench) makeYard(ctx context.Context) (yard, error) {
	specs := append([]fleet.Spec{{Name: "balancer"}, {Name: "visitor"}}, named("backend", 3)...)
	all, err := b.fleet.StartAll(ctx, specs...)
	if err != nil {
		return yard{}, err
	}
	return yard{balancer: all[0], visitor: all[1], backends: all[2:]}, nil
}

// named lists n servers.
func named(prefix string, n int) []fleet.Spec {
	specs := make([]fleet.Spec, n)
	for i := range specs {
		specs[i] = fleet.Spec{Name: fmt.Sprintf("%s%d", prefix, i+1)}
	}
	return specs
}

// install puts every candidate and every backend in place; all run at once, and
// those that are not asked do nothing.
func (y yard) install(ctx context.Context, all []candidate) error {
	for _, s := range y.backends {
		if err := place(ctx, s, file{"/etc/bench/backend.conf", backendConf(s.Addr)}); err != nil {
			return err
		}
		if err := runUnit(ctx, s, "bench-backend", "nginx -c /etc/bench/backend.conf -g 'daemon off;'"); err != nil {
			return err
		}
	}
	for _, c := range all {
		if err := place(ctx, y.balancer, c.files...); err != nil {
			return err
		}
		if c.command == "" {
			continue
		}
		if err := runUnit(ctx, y.balancer, "bench-"+c.name, c.command); err != nil {
			return err
		}
	}
	return nil
}

type file struct{ path, text string }

func place(ctx context.Context, s *fleet.Server, files ...file) error {
	for _, f := range files {
		command := fmt.Sprintf(`mkdir -p "$(dirname %[1]s)" && cat >%[1]s`, f.path)
		if _, err := s.SSH(ctx, command, strings.NewReader(f.text)); err != nil {
			return err
		}
	}
	return nil
}

// runUnit starts a program that stays, with its output in a file of its own.
func runUnit(ctx context.Context, s *fleet.Server, name, command string) error {
	_, err := s.SSH(ctx, fmt.Sprintf("mkdir -p /var/log/bench && systemd-run --quiet --unit=%[1]s -p LimitNOFILE=65536 "+
		"-p StandardOutput=append:/var/log/bench/%[1]s.out -p StandardError=append:/var/log/bench/%[1]s.out %[2]s", name, command), nil)
	return err
}

func (y yard) versions(ctx context.Context) []string {
	out, err := y.balancer.SSH(ctx, `dpkg-query -W -f '${Package} ${Version}, ' nginx haproxy wrk`, nil)
	if err != nil {
		return nil
	}
	return []string{"Debian 12 with " + strings.TrimSuffix(out, ", ")}
}

// compare asks the candidates in turn, beginning with another one each round.
func (b *bench) compare(ctx context.Context, y yard, all []candidate) (map[string]sample, error) {
	rates := map[string]sample{}
	for _, c := range all {
		wait := "curl --silent --output /dev/null --retry 50 --retry-delay 1 --retry-connrefused http://" + c.address + "/"
		if _, err := y.visitor.SSH(ctx, wait, nil); err != nil {
			return nil, err
		}
		if _, err := y.shoot(ctx, c, "1s"); err != nil { // warm: connections, caches, processor
			return nil, err
		}
	}
	for round := range b.rounds {
		for i := range all {
			c := all[(i+round)%len(all)]
			rate, err := y.shoot(ctx, c, roundTime)
			if err != nil {
				return nil, err
			}
			rates[c.name] = append(rates[c.name], rate)
		}
	}
	return rates, nil
}

// shoot sends as many requests as come back for a while and returns how many
// came back per second. All are asked by a name without a port, as visitors ask:
// the ports here are bench's own. A single wrong answer spoils the round.
func (y yard) shoot(ctx context.Context, c candidate, duration string) (float64, error) {
	command := fmt.Sprintf("wrk -t2 -c%d -d%s --timeout 5s -H 'Host: shop.example.com' http://%s/", connections, duration, c.address)
	out, err := y.visitor.SSH(ctx, command, nil)
	if err != nil {
		return 0, err
	}
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return 0, fmt.Errorf("%s did not answer every request:\n%s", c.name, out)
	}
	found := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		return 0, errors.New("wrk told no rate:\n" + out)
	}
	return strconv.ParseFloat(found[1], 64)
}
