package ui

import (
	"strings"
	"testing"
)

func TestDiffOf(t *testing.T) {
	lines := func(text string) string { return strings.ReplaceAll(text, " ", "\n") }
	for _, c := range []struct{ name, was, then, want string }{
		{"the same", "a b", "a b", ""},
		{"one line is another", "a b c", "a x c", " a|-b|+x| c"},
		{"one line more", "a b", "a x b", " a|+x| b"},
		{"one line less", "a x b", "a b", " a|-x| b"},
		{"far from the change", "1 2 3 4 5 6 7 8 9", "1 2 3 4 x 6 7 8 9", " 2| 3| 4|-5|+x| 6| 7| 8"},
		{"two changes far apart", "a 1 2 3 4 5 6 7 b", "x 1 2 3 4 5 6 7 y", "-a|+x| 1| 2| 3|…| 5| 6| 7|-b|+y"},
	} {
		var got []string
		for _, l := range diffOf(lines(c.was), lines(c.then)) {
			got = append(got, l.Sign+l.Text)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", c.name, strings.Join(got, "|"), c.want)
		}
	}
}
