package main

import (
	"testing"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

func TestEven(t *testing.T) {
	servers := []*fleet.Server{{Name: "s1"}, {Name: "s2"}, {Name: "s3"}}
	served := func(a, b, c int) map[string]int { return map[string]int{"s1": a, "s2": b, "s3": c} }
	for name, c := range map[string]struct {
		count lab.Count
		even  bool
	}{
		"ten each":              {lab.Count{Sent: 30, Served: served(10, 10, 10)}, true},
		"one more or less":      {lab.Count{Sent: 30, Served: served(9, 11, 10)}, true},
		"two more":              {lab.Count{Sent: 30, Served: served(12, 9, 9)}, false},
		"one server alone":      {lab.Count{Sent: 30, Served: served(30, 0, 0)}, false},
		"one server missing":    {lab.Count{Sent: 30, Served: map[string]int{"s1": 15, "s2": 15}}, false},
		"one lost":              {lab.Count{Sent: 30, Lost: 1, Served: served(10, 10, 9)}, false},
		"ended before its time": {lab.Count{Sent: 28, Served: served(9, 9, 9)}, false},
		"nothing sent":          {lab.Count{}, false},
	} {
		if err := even(c.count, servers); (err == nil) != c.even {
			t.Errorf("%s: even said %v", name, err)
		}
	}
}
