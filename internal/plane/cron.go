package plane

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the panel must know every zone, wherever it runs
)

// Schedule is the five fields of a cron entry as sets: minute, hour, day of
// month, month, day of week (0 is Sunday).
type Schedule struct {
	minutes, hours, days, months, weekdays set
	// everyDay and everyWeekday: the field begins with "*". Where neither does, a
	// day that fits either of the two counts, as every cron has it.
	everyDay, everyWeekday bool
	// everyHour: the field begins with "*", so that an hour that comes twice is meant twice.
	everyHour bool
}

// set holds numbers below 64.
type set uint64

func (s set) has(n int) bool { return s&(1<<n) != 0 }

// List gives the numbers in order.
func (s set) list() []int {
	out := make([]int, 0, bits.OnesCount64(uint64(s)))
	for n := range 64 {
		if s.has(n) {
			out = append(out, n)
		}
	}
	return out
}

type scheduleField struct {
	name     string
	min, max int
	names    []string // of min, min+1, …
}

var scheduleFields = [5]scheduleField{
	{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var scheduleWords = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
}

const scheduleHint = `five fields: minute hour day-of-month month day-of-week, for example "*/5 * * * *", "30 2 * * mon-fri", or @hourly, @daily, @weekly, @monthly, @yearly`

// ParseSchedule reads five fields of "*", numbers, names, ranges, steps and
// lists of them.
func ParseSchedule(field, text string) (Schedule, error) {
	var s Schedule
	if len(text) > 200 {
		return s, Invalid(field, "is longer than 200 characters", scheduleHint)
	}
	plain := strings.ToLower(strings.TrimSpace(text))
	if word, is := scheduleWords[plain]; is {
		plain = word
	}
	parts := strings.Fields(plain)
	if len(parts) != len(scheduleFields) {
		return s, Invalid(field, fmt.Sprintf("has %d fields instead of 5", len(parts)), scheduleHint)
	}
	var sets [5]set
	for i, f := range scheduleFields {
		var err error
		if sets[i], err = f.parse(parts[i]); err != nil {
			return s, Invalid(field, fmt.Sprintf("%s %q: %v", f.name, parts[i], err), scheduleHint)
		}
	}
	if sets[4].has(7) { // Sunday's other number
		sets[4] = sets[4]&^(1<<7) | 1
	}
	s = Schedule{minutes: sets[0], hours: sets[1], days: sets[2], months: sets[3], weekdays: sets[4]}
	s.everyHour, s.everyDay, s.everyWeekday = parts[1][0] == '*', parts[2][0] == '*', parts[4][0] == '*'
	if !s.happens() {
		return s, Invalid(field, "names a day that never comes", scheduleHint)
	}
	return s, nil
}

// happens is false for the 30th of February and the like.
func (s Schedule) happens() bool {
	if !s.everyDay && !s.everyWeekday {
		return true
	}
	longest := [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for _, m := range s.months.list() {
		if s.days.list()[0] <= longest[m] {
			return true
		}
	}
	return false
}

func (f scheduleField) parse(text string) (set, error) {
	var all set
	for part := range strings.SplitSeq(text, ",") {
		one, err := f.part(part)
		if err != nil {
			return 0, err
		}
		all |= one
	}
	return all, nil
}

// part reads "*", "n", "a-b", each but "n" also with "/step".
func (f scheduleField) part(text string) (set, error) {
	span, step, stepped := strings.Cut(text, "/")
	every := 1
	if stepped {
		n, err := digits(step)
		if err != nil || n < 1 || n > f.max {
			return 0, fmt.Errorf("a step must be 1 to %d", f.max)
		}
		every = n
	}
	from, to, ranged := strings.Cut(span, "-")
	low, high := f.min, f.max
	if span == "*" {
		if f.max == 7 {
			high = 6 // Sunday once
		}
		return stepping(low, high, every), nil
	}
	var err error
	if low, err = f.value(from); err != nil {
		return 0, err
	}
	high = low
	if ranged {
		if high, err = f.value(to); err != nil {
			return 0, err
		}
	}
	if stepped && !ranged {
		return 0, fmt.Errorf("a step needs * or a range before it")
	}
	if high < low {
		return 0, fmt.Errorf("a range must go upwards")
	}
	return stepping(low, high, every), nil
}

// stepping is low, low+step, … up to high.
func stepping(low, high, step int) set {
	var out set
	for n := low; n <= high; n += step {
		out |= 1 << n
	}
	return out
}

func (f scheduleField) value(text string) (int, error) {
	for i, name := range f.names {
		if text == name {
			return f.min + i, nil
		}
	}
	n, err := digits(text)
	if err != nil || n < f.min || n > f.max {
		return 0, fmt.Errorf("must be %d to %d", f.min, f.max)
	}
	return n, nil
}

// digits takes digits only: Atoi would take a sign.
func digits(text string) (int, error) {
	if text == "" || len(text) > 2 || strings.Trim(text, "0123456789") != "" {
		return 0, fmt.Errorf("must be a number")
	}
	return strconv.Atoi(text)
}

// Due tells whether the entry is to run in the minute of t, by the clock of t's
// zone. An hour the clock leaves out in spring has no runs. One that comes twice
// in autumn has them twice where the schedule says every hour, else once.
func (s Schedule) Due(t time.Time) bool {
	if !s.minutes.has(t.Minute()) || !s.hours.has(t.Hour()) || !s.months.has(int(t.Month())) || !s.onDay(t) {
		return false
	}
	return s.everyHour || !secondPass(t)
}

func (s Schedule) onDay(t time.Time) bool {
	day, weekday := s.days.has(t.Day()), s.weekdays.has(int(t.Weekday()))
	if s.everyDay || s.everyWeekday {
		return day && weekday
	}
	return day || weekday
}

// secondPass tells whether the clock showed this minute before: clocks are set
// back by an hour or half of one.
func secondPass(t time.Time) bool {
	const shown = "2006-01-02 15:04"
	for _, back := range []time.Duration{30 * time.Minute, time.Hour} {
		if t.Add(-back).Format(shown) == t.Format(shown) {
			return true
		}
	}
	return false
}

// Next is the first minute after t in which the entry is to run, in t's zone; the
// zero time if there is none within 40 years.
func (s Schedule) Next(t time.Time) time.Time {
	at := t.Truncate(time.Minute).Add(time.Minute)
	for end := at.AddDate(40, 0, 0); at.Before(end); {
		if !s.months.has(int(at.Month())) || !s.onDay(at) {
			next := time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, at.Location())
			if !next.After(at) { // midnight itself is left out there
				next = at.Add(time.Hour)
			}
			at = next
			continue
		}
		if s.Due(at) {
			return at
		}
		at = at.Add(time.Minute)
	}
	return time.Time{}
}

// Fields are the numbers of each field, for what carries the schedule out.
type Fields struct {
	Minutes, Hours, Days, Months, Weekdays []int
	EitherDay                              bool // a day that fits Days or Weekdays counts; else it must fit both
	Twice                                  bool // an hour that comes twice is meant twice
}

// Fields lists the schedule's numbers.
func (s Schedule) Fields() Fields {
	return Fields{
		Minutes: s.minutes.list(), Hours: s.hours.list(), Days: s.days.list(), Months: s.months.list(), Weekdays: s.weekdays.list(),
		EitherDay: !s.everyDay && !s.everyWeekday, Twice: s.everyHour,
	}
}

// OptionTimezone is the app's zone, by whose clock its cron entries run.
const OptionTimezone = "timezone"

// Timezone is the app's zone; UTC unless it says otherwise.
func (s Spec) Timezone() *time.Location {
	zone, err := time.LoadLocation(s.Options[OptionTimezone])
	if err != nil {
		return time.UTC
	}
	return zone
}

// CheckTimezone accepts names of the zone database that mean the same everywhere.
func CheckTimezone(field, name string) error {
	const hint = "for example Europe/Berlin, America/New_York or UTC"
	if name == "" {
		return nil
	}
	if !zonePattern.MatchString(name) || name == "Local" {
		return Invalid(field, OptionTimezone+" must be a name of the time zone database", hint)
	}
	if _, err := time.LoadLocation(name); err != nil {
		return Invalid(field, fmt.Sprintf("there is no time zone %q", name), hint)
	}
	return nil
}
