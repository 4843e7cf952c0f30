package runner

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0.003\n": 3 * time.Millisecond, "0.009\n0.001\n0.002\n": 2 * time.Millisecond, "1.2e-05\n": 12 * time.Microsecond, "": 0, "no\n": 0,
	} {
		got, err := median(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
