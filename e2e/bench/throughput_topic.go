package main

import "fmt"

// comparison is one line of the throughput table: one candidate divided by another.
type comparison struct {
	ours   string
	other  string
	what   string
	target float64
}

func throughputTopic(rates map[string]sample, rounds int) topic {
	t := topic{
		title: "Throughput of the entry",
		how: fmt.Sprintf("Requests per second of our entry, exactly as `internal/nginx` renders it, divided by those of the other in the same round: "+
			"`wrk` with %d kept connections, `GET`, answers of %d bytes, three backends (a plain Nginx each), %s a round, %d rounds, a different candidate "+
			"first each round. Five servers of the fleet: visitor, balancer, three backends. Every Nginx has Debian's `nginx.conf` with the access log buffered; the entry's line tells who "+
			"served what and is longer than the others', and the last comparison says what that costs. HAProxy writes its own to a file.",
			connections, answerBytes, roundTime, rounds),
	}
	for _, c := range []comparison{
		{entryName, panelName, "entry ÷ same upstream, no keep-alive, HTTP/1.0 (what panels write)", 2.2},
		{entryName, referenceName, "entry ÷ hand-tuned Nginx (keep-alive, HTTP/1.1, zone, buffered log)", 0.92},
		{entryName, haproxyName, "entry ÷ HAProxy of Debian", 0.95},
		{secondName, referenceName, "entry while slot b is live ÷ hand-tuned Nginx", 0.92},
		{secondName, haproxyName, "entry while slot b is live ÷ HAProxy of Debian", 0.95},
		{entryName, directName, "entry ÷ directly to one backend", 0},
		{entryName, combinedName, "entry ÷ the same entry with the log line of the others", 0},
	} {
		t.rows = append(t.rows, c.row(rates))
	}
	for _, name := range []string{entryName, secondName, panelName, referenceName, haproxyName, directName} {
		t.rows = append(t.rows, row{what: "requests per second: " + name, figure: fmt.Sprintf("%.0f", rates[name].median()), spread: rates[name].middle("%.0f")})
	}
	return t
}

func (c comparison) row(rates map[string]sample) row {
	ratios := rates[c.ours].over(rates[c.other])
	r := row{
		what: c.what, figure: fmt.Sprintf("%.2f", ratios.median()), spread: ratios.middle("%.2f"),
		met: ratios.median() >= c.target,
	}
	if c.target > 0 {
		r.target = fmt.Sprintf("at least %.2f", c.target)
	}
	return r
}
