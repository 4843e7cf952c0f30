package remote

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However the bytes arrive, the lines are the same.
func TestOutputLinesDoNotDependOnThePieces(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		length := rapid.SampledFrom([]int{0, 1, 5, lineLimit - 1, lineLimit, lineLimit + 1, 2*lineLimit + 3})
		var text strings.Builder
		for range rapid.IntRange(0, 4).Draw(r, "lines") {
			text.WriteString(strings.Repeat("x", length.Draw(r, "length")) + "\n")
		}
		text.WriteString(strings.Repeat("y", length.Draw(r, "rest")))
		whole := lines(text.String(), text.Len()+1)
		pieces := lines(text.String(), rapid.IntRange(500, 100000).Draw(r, "piece"))
		if strings.Join(whole, "|") != strings.Join(pieces, "|") {
			r.Fatalf("%d lines whole, %d in pieces", len(whole), len(pieces))
		}
		for _, line := range whole {
			if len(line) > lineLimit {
				r.Fatalf("a line of %d bytes", len(line))
			}
		}
	})
}

func lines(text string, piece int) []string {
	var all []string
	o := output{line: func(line string) { all = append(all, line) }}
	for len(text) > 0 {
		n := min(piece, len(text))
		_, _ = o.Write([]byte(text[:n]))
		text = text[n:]
	}
	o.finish()
	return all
}
