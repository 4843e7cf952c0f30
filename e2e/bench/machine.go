package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is where and when it was measured: what a reader needs to judge the
// figures, and nothing that tells whose machine it is.
type machine struct {
	when       time.Time
	commit     string
	cpu        string
	cores      int
	memoryGiB  float64
	kernel     string
	loadBefore string
	software   []string
	took       time.Duration
}

func describeMachine(commit string) machine {
	return machine{
		when: time.Now().UTC(), commit: commit, cpu: field("/proc/cpuinfo", "model name"), cores: runtime.NumCPU(),
		memoryGiB: memory(), kernel: strings.TrimSpace(text("/proc/sys/kernel/osrelease")), loadBefore: load(),
	}
}

// busy is the load average above which the report says that others were at work.
const busy = 1.5

func (m machine) write(b *strings.Builder) {
	fmt.Fprintf(b, "\nMeasured %s at commit %s, in %s, on %d cores (%s), %.0f GiB, Linux %s, everything on this one machine: load generator,\n"+
		"balancer and backends share its cores. %s. Load average of the last minute at the start: %s%s.\n",
		m.when.Format("2006-01-02 15:04 MST"), m.commit, m.took.Round(time.Second), m.cores, m.cpu, m.memoryGiB, m.kernel,
		strings.Join(m.software, ", "), m.loadBefore, m.disturbed())
}

func (m machine) disturbed() string {
	var average float64
	if _, err := fmt.Sscan(m.loadBefore, &average); err == nil && average < busy {
		return ""
	}
	return " (**other work was running**: absolute figures are worse than they would be alone)"
}

func load() string {
	first, _, _ := strings.Cut(text("/proc/loadavg"), " ")
	return first
}

func memory() float64 {
	var kib float64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib); err != nil {
		return 0
	}
	return kib / (1 << 20)
}

func text(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(raw)
}

// field returns the first value of a name in a file of "name : value" lines.
func field(path, name string) string {
	for line := range strings.Lines(text(path)) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
