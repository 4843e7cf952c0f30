package ansible

// Outcome is how a play ended on each of its hosts.
type Outcome struct {
	// Hosts holds every host of the play. After a cancel, a host that had not ended is not OK.
	Hosts map[string]HostResult
	// Cancelled says the context ended before the play did.
	Cancelled bool
}

// HostResult is one host's end. Unless OK, the other fields tell of the task that ended it.
type HostResult struct {
	OK, Unreachable bool
	Task, Message   string
	Stdout, Stderr  string
}

// Failed names the hosts that are not OK.
func (o Outcome) Failed() []string {
	var names []string
	for name, result := range o.Hosts {
		if !result.OK {
			names = append(names, name)
		}
	}
	return names
}

// tally follows a play's events and knows each host's last trouble.
type tally struct {
	trouble map[string]HostResult
	stats   map[string]hostStats
}

func newTally() *tally {
	return &tally{trouble: make(map[string]HostResult)}
}

func (t *tally) add(w wireEvent) {
	switch w.Kind {
	case "failed", "unreachable":
		t.trouble[w.Host] = HostResult{
			Unreachable: w.Kind == "unreachable",
			Task:        w.Task, Message: w.Message, Stdout: w.Stdout, Stderr: w.Stderr,
		}
	case "stats":
		t.stats = w.Stats
	}
}

// finished says whether ansible came to a regular end.
func (t *tally) finished() bool { return t.stats != nil }

func (t *tally) outcome(hosts []Host, cancelled bool) Outcome {
	o := Outcome{Hosts: make(map[string]HostResult, len(hosts)), Cancelled: cancelled}
	for _, h := range hosts {
		o.Hosts[h.Name] = t.host(h.Name)
	}
	return o
}

func (t *tally) host(name string) HostResult {
	s, known := t.stats[name]
	if known && s.Failures == 0 && s.Unreachable == 0 {
		return HostResult{OK: true}
	}
	if result, ok := t.trouble[name]; ok {
		return result
	}
	return HostResult{Message: "did not come to an end"}
}
