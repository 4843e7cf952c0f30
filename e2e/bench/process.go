package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// tickLength is the unit of /proc/PID/stat: USER_HZ, 100 on every Linux that Go knows.
const tickLength = 10 * time.Millisecond

// processorTime is what a process has used so far, in all its threads.
func processorTime(pid int) time.Duration {
	stat := text(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(stat, ") ") // the name before it may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * tickLength
}

// resident is how much memory a process holds now, in MB.
func resident(pid int) float64 { return status(pid, "VmRSS") }

func status(pid int, name string) float64 {
	var kib float64
	if _, err := fmt.Sscan(field(fmt.Sprintf("/proc/%d/status", pid), name), &kib); err != nil {
		return 0
	}
	return kib * 1024 / 1e6
}

func ownPeak() float64 { return status(os.Getpid(), "VmHWM") }

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// poll asks until done says so or fails.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
