// Command fleet starts real servers for a person to try things on by hand:
//
//	fleet up [-n 3] [-suite bookworm]   start servers; Ctrl-C ends and removes them
//	fleet list                          show the fleets of this machine
//	fleet reap                          clear away what crashed fleets have left
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	config := fleet.Config{Log: os.Stderr}
	if len(args) == 0 {
		return errors.New("say up, list or reap")
	}
	switch args[0] {
	case "up":
		return up(ctx, config, args[1:])
	case "list":
		return list(config)
	case "reap":
		gone, err := fleet.Reap(ctx, config)
		fmt.Printf("cleared away: %d\n", len(gone))
		return err
	}
	return fmt.Errorf("no command %q: say up, list or reap", args[0])
}

func up(ctx context.Context, config fleet.Config, args []string) (err error) {
	flags := flag.NewFlagSet("fleet up", flag.ContinueOnError)
	count := flags.Int("n", 3, "how many servers")
	suite := flags.String("suite", "bookworm", "Debian release")
	memory := flags.Int("memory", 1024, "memory of each, MiB")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, err := fleet.New(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var specs []fleet.Spec
	for i := range *count {
		specs = append(specs, fleet.Spec{Name: fmt.Sprintf("s%d", i+1), Suite: *suite, Memory: *memory})
	}
	began := time.Now()
	servers, err := f.StartAll(ctx, specs...)
	if err != nil {
		return err
	}
	fmt.Printf("fleet %s, %d servers up in %.1f s, this machine is %s\n", f.ID, len(servers), time.Since(began).Seconds(), f.Gateway())
	for _, s := range servers {
		fmt.Printf("%s\t%s\t%s\n", s.Name, s.Addr, s.CommandLine())
	}
	fmt.Println("Ctrl-C ends and removes them")
	<-ctx.Done()
	return nil
}

func list(config fleet.Config) error {
	all, err := fleet.List(config)
	if err != nil {
		return err
	}
	for _, i := range all {
		state := "running"
		if i.Dead {
			state = "dead: fleet reap clears it away"
		}
		fmt.Printf("fleet %s\t%s\tprocess %d\t%s\n", i.ID, i.Prefix, i.Owner, state)
		for _, s := range i.Servers {
			fmt.Printf("  %s\t%s\t%s\t%s\n", s.Name, s.Addr, s.SSH, s.Console)
		}
	}
	fmt.Printf("%d fleets\n", len(all))
	return nil
}
