package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// format is the value of --output.
type format string

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "table|json" }

// Set refuses what is neither.
func (f *format) Set(text string) error {
	if text != "table" && text != "json" {
		return fmt.Errorf("must be table or json")
	}
	*f = format(text)
	return nil
}

func outputFlag(cmd *cobra.Command) *format {
	f := format("table")
	cmd.Flags().VarP(&f, "output", "o", "how to print the result: table or json")
	return &f
}

// show prints v as JSON, or the rows as a table; the first row is the head.
func (sh *shell) show(f format, v any, rows [][]string) error {
	if f == "json" {
		return writeJSON(sh.Out, v)
	}
	w := tabwriter.NewWriter(sh.Out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// rows puts a head over one row for each item.
func rows[T any](head string, items []T, row func(T) []string) [][]string {
	out := [][]string{strings.Fields(head)}
	for _, item := range items {
		out = append(out, row(item))
	}
	return out
}

// say prints progress.
func (sh *shell) say(format string, args ...any) {
	fmt.Fprintln(sh.Err, clean(fmt.Sprintf(format, args...)))
}

// clean keeps what servers say from steering the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || !unicode.IsControl(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// stamp is a time in tables; "-" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// or is the text, or "-" so that columns stay columns.
func or(text string) string {
	if text == "" {
		return "-"
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), "\t", " ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
