package main

import (
	"fmt"
	"strings"
)

// topic is one table of the report.
type topic struct {
	title string
	how   string // how it was measured, in sentences
	rows  []row
}

// row is one figure.
type row struct {
	what   string
	figure string
	spread string
	target string // empty: there is none
	met    bool
}

func (r row) verdict() string {
	switch {
	case r.target == "":
		return ""
	case r.met:
		return "met"
	}
	return "**missed**"
}

func (t topic) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n%s\n\n| what | figure | spread | target | |\n|---|---|---|---|---|\n", t.title, t.how)
	for _, r := range t.rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", r.what, r.figure, r.spread, r.target, r.verdict())
	}
}

const preface = `# Performance

Written by ` + "`make bench`" + `; do not edit by hand. Nothing here is a test: figures of a shared machine come and go, so a target that is
missed is written down and not hidden. Where two things are compared, they were measured in turn, in short rounds of one run, and
the figure is the median of the rounds' ratios with the middle half of them as spread: only the ratios mean something on another machine.
`

func report(m machine, topics []topic) string {
	var b strings.Builder
	b.WriteString(preface)
	m.write(&b)
	for _, t := range topics {
		t.write(&b)
	}
	return b.String()
}
