package ansible

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Event is one thing that happened while a play was carried out, in the order it happened.
type Event struct {
	Time time.Time
	// Kind is one of play task ok changed failed unreachable skipped retry item stats log.
	Kind string
	// Host is the server's name; empty for play, task, stats and log.
	Host string
	// Task is the task's name as written in the playbook.
	Task string
	// Message is what a person should read. A task marked no_log only says that it is hidden.
	Message string
	// Stdout and Stderr are what the remote command printed: the last 64 KiB of each.
	Stdout, Stderr string
	// Exit is the remote command's exit status; nil when the task ran no command.
	Exit     *int
	Duration time.Duration
}

// wireEvent is one line the callback plugin writes; Stats comes with kind "stats" only.
type wireEvent struct {
	Time     float64              `json:"time"`
	Kind     string               `json:"kind"`
	Host     string               `json:"host"`
	Task     string               `json:"task"`
	Message  string               `json:"message"`
	Stdout   string               `json:"stdout"`
	Stderr   string               `json:"stderr"`
	Exit     *int                 `json:"exit"`
	Duration float64              `json:"duration"`
	Stats    map[string]hostStats `json:"stats"`
}

// hostStats are Ansible's own counts: they, unlike single events, know of rescued failures.
type hostStats struct {
	Failures    int `json:"failures"`
	Unreachable int `json:"unreachable"`
}

func (w wireEvent) event() Event {
	return Event{
		Time: time.UnixMicro(int64(w.Time * 1e6)).UTC(), Kind: w.Kind, Host: w.Host, Task: w.Task, Message: w.Message,
		Stdout: w.Stdout, Stderr: w.Stderr, Exit: w.Exit, Duration: time.Duration(w.Duration * float64(time.Second)),
	}
}

// readEvents hands on each line until the stream ends. A cut last line (the process was killed) is dropped.
func readEvents(r io.Reader, each func(wireEvent)) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading ansible's events: %w", err)
		}
		var w wireEvent
		if err := json.Unmarshal(line, &w); err != nil {
			return fmt.Errorf("decoding an event of ansible: %w", err)
		}
		each(w)
	}
}
