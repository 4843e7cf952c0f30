// Command demo shows ServerPlane at work on this machine: it makes three real
// servers, starts the panel, puts one app on all of them and says how to reach
// everything. It stays until Ctrl-C and takes everything away again. Nothing
// listens anywhere but on loopback and on the demo's own bridge.
//
//	demo                 stay until Ctrl-C
//	demo -check          end at once; exit 0 only if the load was shared evenly
//	demo -binary FILE    use this serverplane program instead of building one
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	check := flag.Bool("check", false, "end when the app is shown; exit 1 unless three servers shared 30 requests evenly")
	binary := flag.String("binary", "", "serverplane program to use (default: build one)")
	flag.Parse()
	if err := run(*binary, *check); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run keeps the signals for itself until everything is cleared away: an
// impatient second Ctrl-C must not leave servers behind.
func run(binary string, check bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return newDemo(os.Stdout, binary, check).run(ctx)
}
