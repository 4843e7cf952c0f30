package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// sample is a list of measured values.
type sample []float64

// at returns the value below which the given share of the sample lies, by the
// nearest rank: a value that was really seen.
func (s sample) at(share float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	ordered := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(share*float64(len(ordered)))) - 1
	return ordered[max(rank, 0)]
}

func (s sample) median() float64 { return s.at(0.5) }

// over divides value by value: the rounds of one comparison.
func (s sample) over(other sample) sample {
	ratios := make(sample, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// middle is the range of the middle half.
func (s sample) middle(format string) string {
	return fmt.Sprintf(format+" to "+format, s.at(0.25), s.at(0.75))
}

func (s *sample) add(d time.Duration) { *s = append(*s, d.Seconds()*1000) }

// latency is a row of a sample of milliseconds.
func latency(what string, s sample, target float64, text string) row {
	return row{
		what: what, figure: fmt.Sprintf("p50 %.0f ms, p95 %.0f ms", s.median(), s.at(0.95)),
		spread: fmt.Sprintf("%.0f to %.0f ms, n = %d", s.at(0), s.at(1), len(s)), target: text, met: s.at(0.95) < target,
	}
}
