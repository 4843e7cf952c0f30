// Command bench measures what ServerPlane costs and writes docs/performance.md.
//
//	bench                    measure everything, write the report to standard output
//	bench -out FILE          write it to FILE
//	bench -only LIST         only these topics: throughput, traffic, adding, health, prober, panel, pages
//	bench -binary FILE       measure this serverplane program instead of building one
//
// It needs root and measures on real servers of its own (see e2e/fleet).
// Nothing here passes or fails: a figure that misses its target is written down
// as missed. Whatever is compared is measured in turn, in many short rounds of
// one run, so that a noisy machine disturbs all candidates alike.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.out, "out", "", "file of the report (default: standard output)")
	flag.StringVar(&o.only, "only", "", "topics, with commas (default: all)")
	flag.StringVar(&o.binary, "binary", "", "serverplane program to measure (default: build one)")
	flag.IntVar(&o.rounds, "rounds", 45, "rounds of the comparison of throughput")
	flag.Parse()
	if err := run(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	out, only, binary string
	rounds            int
}

func (o options) wants(topic string) bool {
	return o.only == "" || strings.Contains(","+o.only+",", ","+topic+",")
}

// run measures; with an argument it is one of bench's own helper processes,
// apart so that what they use is told apart from what bench itself uses.
func run(o options, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if len(args) > 0 {
		return help(ctx, args[0], args[1:])
	}
	return newBench(o).run(ctx)
}
