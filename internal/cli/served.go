package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) served() *cobra.Command {
	cmd := &cobra.Command{Use: "traffic APP", Short: "Show who served what in the last hour and 24 hours", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		s, err := c.Served(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		err = sh.show(*f, s, [][]string{
			{"figures", s.State}, {"reason", or(s.Reason)}, {"known since", moment(s.Since)}, {"known until", moment(s.ReadAt)}, {"left out", gapLine(s)},
		})
		if err != nil || *f == "json" || s.ReadAt == nil {
			return err
		}
		fmt.Fprintln(sh.Out)
		return sh.show(*f, nil, servedRows(s))
	}
	return cmd
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

func gapLine(s client.Served) string {
	if s.Gap == "" {
		return "-"
	}
	return fmt.Sprintf("%s: %s", moment(s.GapAt), or(s.Gap))
}

// servedRows is a row for each backend and while; the entry's own answers last.
func servedRows(s client.Served) [][]string {
	out := rows("SERVER IN REQUESTS PER-SECOND SHARE ERRORS ERROR-SHARE PASSED-ON P50 P95", []string(nil), nil)
	add := func(name string, r client.ServedReach) {
		out = append(out, append([]string{name, "1h"}, figureColumns(r.Hour)...), append([]string{name, "24h"}, figureColumns(r.Day)...))
	}
	for _, b := range s.Backends {
		add(b.Server, b.ServedReach)
	}
	add("(entry itself)", s.Entry)
	return out
}

func figureColumns(f client.ServedFigures) []string {
	return []string{
		strconv.Itoa(f.Requests), fmt.Sprintf("%.2f", f.PerSecond), percent(f.Share), strconv.Itoa(f.Errors), percent(f.ErrorShare), strconv.Itoa(f.PassedOn),
		latency(f.P50), latency(f.P95),
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func latency(d *client.Duration) string {
	if d == nil {
		return "-"
	}
	return d.String()
}
