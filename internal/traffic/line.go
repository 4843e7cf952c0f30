package traffic

import (
	"strconv"
	"strings"
	"time"
)

// request is what a line of an entry's log says of one request. Nothing of the
// visitor is in it.
type request struct {
	at     time.Time
	status int   // that the visitor got
	tries  []try // in order; none where the entry answered by itself
}

// try is one backend that was asked.
type try struct {
	address  string // or the name of an upstream in which nobody could be asked
	status   int    // 0: there was no answer
	answered bool
	took     time.Duration // until the answer's first byte
}

// maxTries bounds a line: each of 100 backends is asked twice at most.
const maxTries = 256

// parse reads a line without the visitor's part (read.py):
//
//	TIME STATUS SECONDS "ADDRESSES" "STATUSES" "SECONDS"
func parse(line string) (request, bool) {
	parts := strings.Split(line, `"`)
	if len(parts) != 7 || parts[2] != " " || parts[4] != " " || parts[6] != "" {
		return request{}, false
	}
	fixed := strings.Fields(parts[0])
	if len(fixed) != 3 {
		return request{}, false
	}
	at, err := time.Parse(time.RFC3339, fixed[0])
	if err != nil {
		return request{}, false
	}
	status, ok := code(fixed[1])
	if !ok {
		return request{}, false
	}
	tries, ok := triesOf(parts[1], parts[3], parts[5])
	return request{at: at, status: status, tries: tries}, ok
}

// code reads a status; Nginx writes 000 or 009 where there is none to speak of.
func code(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 10)
	return int(n), err == nil && n < 1000 && len(text) == 3
}

// triesOf reads the three lists, which have a place for each try.
func triesOf(addresses, statuses, times string) ([]try, bool) {
	if addresses == "-" {
		return nil, true
	}
	a, s, t := list(addresses), list(statuses), list(times)
	if len(a) > maxTries || len(s) != len(a) || len(t) != len(a) {
		return nil, false
	}
	tries := make([]try, len(a))
	for i := range a {
		one := try{address: a[i]}
		if s[i] != "-" {
			n, ok := code(s[i])
			if !ok {
				return nil, false
			}
			one.status = n
		}
		if t[i] != "-" {
			seconds, err := strconv.ParseFloat(t[i], 64)
			if err != nil || !(seconds >= 0 && seconds < 1e6) {
				return nil, false
			}
			one.answered, one.took = true, time.Duration(seconds*float64(time.Second))
		}
		tries[i] = one
	}
	return tries, true
}

// list splits what Nginx joins with ", " within one upstream and with " : " where
// the request was handed on inside the entry.
func list(text string) []string {
	return strings.Split(strings.ReplaceAll(text, " : ", ", "), ", ")
}
