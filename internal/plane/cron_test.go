package plane_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/adhocore/gronx"
	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestParseScheduleRefuses(t *testing.T) {
	for text, told := range map[string]string{
		"": "0 fields", "* * * *": "4 fields", "* * * * * *": "6 fields", "60 * * * *": "minute", "-1 * * * *": "minute", "* 24 * * *": "hour",
		"* * 0 * *": "day of month", "* * 32 * *": "day of month", "* * * 13 * ": "month", "* * * 0 *": "month", "* * * * 8": "day of week",
		"*/0 * * * *": "step", "*/60 * * * *": "step", "5/2 * * * *": "step", "9-5 * * * *": "upwards", "fri-mon * * * *": "minute", "* * * * fri-mon": "upwards",
		"1,,2 * * * *": "minute", "+1 * * * *": "minute", "0x1 * * * *": "minute", "* * * * L": "day of week", "@reboot": "1 fields", "@every 5m": "2 fields",
		"0 0 31 2 *": "never comes", "0 0 30,31 feb *": "never comes", "0 0 31 4,6,9,11 *": "never comes", "* * * * *\n; id": "7 fields", "$(id) * * * *": "minute",
		"001 * * * *": "minute", "? * * * *": "minute", strings.Repeat(" ", 300): "longer",
	} {
		_, err := plane.ParseSchedule("schedule", text)
		if err == nil || plane.CodeOf(err) != plane.CodeInvalid || !strings.HasPrefix(err.Error(), "schedule: ") || !strings.Contains(err.Error(), told) {
			t.Errorf("%q: %v, want %q", text, err, told)
		}
	}
}

// drawField draws one field as a person may write it.
func drawField(t *rapid.T, name string, low, high int) string {
	n := func(name string) int { return rapid.IntRange(low, high).Draw(t, name) }
	part := func() string {
		switch rapid.IntRange(0, 3).Draw(t, name+" form") {
		case 0:
			return fmt.Sprintf("*/%d", rapid.IntRange(1, max(1, high-1)).Draw(t, name+" step"))
		case 1:
			a, b := n(name+" from"), n(name+" to")
			return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
		case 2:
			a, b := n(name+" from"), n(name+" to")
			return fmt.Sprintf("%d-%d/%d", min(a, b), max(a, b), rapid.IntRange(1, max(1, high-1)).Draw(t, name+" step"))
		}
		return fmt.Sprint(n(name))
	}
	if rapid.Bool().Draw(t, name+" every") {
		return "*"
	}
	parts := make([]string, rapid.IntRange(1, 3).Draw(t, name+" parts"))
	for i := range parts {
		parts[i] = part()
	}
	return strings.Join(parts, ",")
}

func drawSchedule(t *rapid.T) string {
	fields := []string{drawField(t, "minute", 0, 59), drawField(t, "hour", 0, 23), drawField(t, "day", 1, 31), drawField(t, "month", 1, 12), drawField(t, "weekday", 0, 6)}
	return strings.Join(fields, " ")
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca"}

// Another program's idea of the same five fields agrees at every minute, by the
// clock of any zone; but for the hour that comes twice, which is ours to say.
func TestScheduleIsDueAsOthersHaveIt(t *testing.T) {
	other := gronx.New()
	rapid.Check(t, func(t *rapid.T) {
		text := drawSchedule(t)
		s, err := plane.ParseSchedule("schedule", text)
		if err != nil {
			if strings.Contains(err.Error(), "never comes") {
				return
			}
			t.Fatalf("%q: %v", text, err)
		}
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(1767225600, 1900000000).Draw(t, "at"), 0).Truncate(time.Minute).In(zone)
		for range 300 {
			want, err := other.IsDue(text, at)
			if err != nil {
				t.Fatal(err)
			}
			twice := want && showsTwice(at)
			if got := s.Due(at); got != want && !twice {
				t.Fatalf("%q at %s: %t, another program says %t", text, at, got, want)
			}
			at = at.Add(time.Minute)
		}
	})
}

// showsTwice tells whether the clock showed this minute within the last hour.
func showsTwice(t time.Time) bool {
	for back := time.Minute; back <= time.Hour; back += time.Minute {
		if t.Add(-back).Format("0201 1504") == t.Format("0201 1504") {
			return true
		}
	}
	return false
}

func TestScheduleWhenTheClockIsChanged(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, day string
		runs      int
	}{
		{"30 2 * * *", "2026-03-28", 1}, {"30 2 * * *", "2026-03-29", 0}, // spring: 02:30 is not shown
		{"30 2 * * *", "2026-10-25", 1}, // autumn: shown twice, run once
		{"30 * * * *", "2026-03-29", 23}, {"30 * * * *", "2026-10-25", 25},
		{"*/20 2-3 * * *", "2026-10-25", 6}, {"* * * * *", "2026-10-25", 25 * 60}, {"@daily", "2026-10-25", 1},
	} {
		s, err := plane.ParseSchedule("schedule", c.text)
		if err != nil {
			t.Fatal(err)
		}
		day, err := time.ParseInLocation(time.DateOnly, c.day, berlin)
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		for at := day; at.Before(day.AddDate(0, 0, 1)); at = at.Add(time.Minute) {
			if s.Due(at) {
				runs++
			}
		}
		if runs != c.runs {
			t.Errorf("%q on %s: %d runs, want %d", c.text, c.day, runs, c.runs)
		}
	}
}

func TestNextIsTheFirstDueMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := plane.ParseSchedule("schedule", drawSchedule(t))
		if err != nil {
			return
		}
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(1767225600, 1900000000).Draw(t, "from"), 0).In(zone)
		next := s.Next(from)
		if next.IsZero() || !next.After(from) || !s.Due(next) {
			t.Fatalf("after %s comes %s", from, next)
		}
		for at := from.Truncate(time.Minute).Add(time.Minute); at.Before(next) && at.Sub(from) < 48*time.Hour; at = at.Add(time.Minute) {
			if s.Due(at) {
				t.Fatalf("after %s comes %s, not %s", from, at, next)
			}
		}
	})
}

func TestTimezones(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, "UTC": true, "Europe/Berlin": true, "America/Argentina/Buenos_Aires": true, "Etc/GMT+5": true,
		"Local": false, "Europe/Nowhere": false, "../../etc/passwd": false, "/etc/localtime": false, "Europe/Berlin; id": false, "europe": false, "a b": false,
	} {
		if err := plane.CheckTimezone("option", name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if zone := (plane.Spec{Options: map[string]string{plane.OptionTimezone: "Asia/Tokyo"}}).Timezone(); zone.String() != "Asia/Tokyo" {
		t.Error(zone)
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"* * * * *", "*/5 1-3 1,15 jan-mar mon", "@daily", "0 0 31 2 *", "5/2 * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := plane.ParseSchedule("schedule", text)
		if err != nil {
			return
		}
		n := s.Fields()
		for _, list := range [][]int{n.Minutes, n.Hours, n.Days, n.Months, n.Weekdays} {
			if len(list) == 0 {
				t.Fatalf("%q has an empty field: %+v", text, n)
			}
		}
		if next := s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); next.IsZero() {
			t.Fatalf("%q is never due", text)
		}
	})
}
