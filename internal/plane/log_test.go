package plane

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLogTextShowsWhatALineHolds(t *testing.T) {
	for line, want := range map[string]string{
		"GET / 200":                 "GET / 200",
		"a\tb":                      "a\tb",
		"\x1b[31mred\x1b[0m":        "^[[31mred^[[0m",
		"over\rwritten":             "over^Mwritten",
		"one\ntwo":                  "one^Jtwo",
		"nul\x00del\x7f":            "nul^@del^?",
		"c1 \u0085":                 "c1 <U+0085>",
		"turned \u202etxt.exe":      "turned <U+202E>txt.exe",
		"apart \u2028":              "apart <U+2028>",
		"not text \xff\xfe":         `not text \xff\xfe`,
		"a true \uFFFD":             "a true \uFFFD",
		"<script>alert(1)</script>": "<script>alert(1)</script>",
		"":                          "",
	} {
		if got := LogText(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestLogTextCutsALongLine(t *testing.T) {
	if got := LogText(strings.Repeat("ä", MaxLogText)); len(got) > MaxLogText+50 || !strings.HasSuffix(got, "… (cut, 4000 bytes more)") {
		t.Errorf("%d bytes, ends with %q", len(got), got[len(got)-40:])
	}
	if got := LogText(strings.Repeat("a", MaxLogText)); got != strings.Repeat("a", MaxLogText) {
		t.Errorf("a line of exactly the bound was changed: %d bytes", len(got))
	}
}

func FuzzLogText(f *testing.F) {
	f.Add("\x1b]0;title\a \u202e \xff")
	f.Fuzz(func(t *testing.T, line string) {
		got := LogText(line)
		if !utf8.ValidString(got) || len(got) > MaxLogText+100 {
			t.Errorf("%q: %q", line, got)
		}
		for _, r := range got {
			if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Errorf("%q: %q holds %U", line, got, r)
			}
		}
	})
}

func TestLogWishes(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, MaxLogLines: true, MaxLogLines + 1: false, -5: false} {
		if err := CheckLogLines("lines", n); (err == nil) != ok {
			t.Errorf("%d lines: %v", n, err)
		}
	}
	for s, ok := range map[LogSource]bool{LogApp: true, LogNginx: true, "": false, "../x": false} {
		if err := CheckLogSource("source", s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
