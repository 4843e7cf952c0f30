package main

import (
	"strings"
	"testing"
	"time"
)

func TestQuantilesAreValuesThatWereSeen(t *testing.T) {
	s := sample{50, 10, 40, 20, 30}
	for share, want := range map[float64]float64{0: 10, 0.25: 20, 0.5: 30, 0.75: 40, 0.95: 50, 1: 50} {
		if got := s.at(share); got != want {
			t.Errorf("at %v: %v, want %v", share, got, want)
		}
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	ratios := sample{10, 40, 30}.over(sample{5, 10, 10})
	if ratios[0] != 2 || ratios[1] != 4 || ratios[2] != 3 || ratios.median() != 3 {
		t.Errorf("got %v", ratios)
	}
}

func TestAMissedTargetIsWrittenDown(t *testing.T) {
	slow := latency("a change", sample{100, 200, 900}, 800, "p95 under 800 ms")
	text := report(machine{loadBefore: "3.10"}, []topic{{title: "Changes", rows: []row{slow, {what: "plain", figure: "1"}}}})
	for _, want := range []string{"| a change | p50 200 ms, p95 900 ms | 100 to 900 ms, n = 3 | p95 under 800 ms | **missed** |", "| plain | 1 |  |  |  |", "other work was running"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestAnswersToRequestsSentAfterwards(t *testing.T) {
	begin := time.Now()
	var all []seen
	for n := range 5 {
		all = append(all, seen{sent: begin.Add(time.Duration(n) * time.Second)})
	}
	for after, want := range map[time.Duration]int{-time.Second: 5, 0: 4, 2500 * time.Millisecond: 2, time.Minute: 0} {
		if got := len(sentAfter(all, begin.Add(after))); got != want {
			t.Errorf("after %s: %d, want %d", after, got, want)
		}
	}
}

func TestOnlySomeTopics(t *testing.T) {
	b := newBench(options{only: "adding,prober"})
	for name, want := range map[string]bool{"throughput": false, "panel": true, "health": false, "prober": true} {
		if b.wantsPart(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
