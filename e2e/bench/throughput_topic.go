package main

import "fmt"

// comparison is one line of the throughput table: ours divided by another.
type comparison struct {
	other  string
	what   string
	target float64
}

func throughputTopic(rates map[string]sample, rounds int) topic {
	t := topic{
		title: "Throughput of the entry",
		how: fmt.Sprintf("Requests per second of our entry, exactly as `internal/nginx` renders it, divided by those of the other in the same round: "+
			"`wrk` with %d kept connections, `GET`, answers of %d bytes, three backends (a plain Nginx each), %s a round, %d rounds, a different candidate "+
			"first each round. Five servers of the fleet: visitor, balancer, three backends. Every Nginx has Debian's `nginx.conf` with the access log buffered; HAProxy writes "+
			"its own to a file. The last line tells what Debian's default, a write for each request, costs.",
			connections, answerBytes, roundTime, rounds),
	}
	for _, c := range []comparison{
		{panelName, "same upstream, no keep-alive, HTTP/1.0 (what panels write)", 2.2},
		{referenceName, "hand-tuned Nginx (keep-alive, HTTP/1.1, zone, buffered log)", 0.92},
		{haproxyName, "HAProxy of Debian", 0.95},
		{directName, "directly to one backend", 0},
		{secondName, "the same entry while slot b is live (one look more at the marker)", 0},
		{eagerName, "the same entry with Debian's unbuffered log", 0},
	} {
		t.rows = append(t.rows, c.row(rates))
	}
	for _, name := range []string{entryName, panelName, referenceName, haproxyName, directName} {
		t.rows = append(t.rows, row{what: "requests per second: " + name, figure: fmt.Sprintf("%.0f", rates[name].median()), spread: rates[name].middle("%.0f")})
	}
	return t
}

func (c comparison) row(rates map[string]sample) row {
	ratios := rates[entryName].over(rates[c.other])
	r := row{
		what: "entry ÷ " + c.what, figure: fmt.Sprintf("%.2f", ratios.median()), spread: ratios.middle("%.2f"),
		met: ratios.median() >= c.target,
	}
	if c.target > 0 {
		r.target = fmt.Sprintf("at least %.2f", c.target)
	}
	return r
}
