package ui

import (
	"slices"
	"strings"
)

// diffLine is one line of a comparison; Sign is "+", "-" or a space.
type diffLine struct{ Sign, Text string }

// diffOf compares two small files line by line, along their longest common
// part; empty where nothing differs.
func diffOf(was, then string) []diffLine {
	if was == then {
		return nil
	}
	a, b := strings.Split(was, "\n"), strings.Split(then, "\n")
	common := commonLines(a, b)
	var out []diffLine
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, diffLine{" ", a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, diffLine{"-", a[i]})
			i++
		default:
			out = append(out, diffLine{"+", b[j]})
			j++
		}
	}
	return near(out, 3)
}

// commonLines is the length of the longest common part of a from i and b from j.
func commonLines(a, b []string) [][]int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if n[i][j] = max(n[i+1][j], n[i][j+1]); a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			}
		}
	}
	return n
}

// near keeps changed lines and so many around each.
func near(lines []diffLine, around int) []diffLine {
	changed := func(l diffLine) bool { return l.Sign != " " }
	var out []diffLine
	skipped := false
	for i, l := range lines {
		if !slices.ContainsFunc(lines[max(0, i-around):min(len(lines), i+around+1)], changed) {
			skipped = true
			continue
		}
		if skipped && len(out) > 0 {
			out = append(out, diffLine{"…", ""})
		}
		out, skipped = append(out, l), false
	}
	return out
}
