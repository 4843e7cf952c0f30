package plane

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Backup is one dump of a database, kept on the database's server.
type Backup struct {
	ID         string
	DatabaseID string
	File       string           // name
	Path       string           // on the server
	Bytes      int64            // compressed
	Rows       map[string]int64 // of each table, as they are in the dump
	Actor      string           // who asked for it
	CreatedAt  time.Time
}

// Sum is how many rows the dump holds.
func (b Backup) Sum() int {
	n := 0
	for _, rows := range b.Rows {
		n += int(rows)
	}
	return n
}

// BackupFile names a dump; the id tells two of one second apart.
func BackupFile(id string, at time.Time) string {
	return at.UTC().Format("20060102T150405Z") + "-" + id[len(PrefixBackup):] + ".dump"
}

// BackupPlan says when a database is dumped by itself and how many dumps are kept.
type BackupPlan struct {
	Schedule string    // as ParseBackupSchedule reads it; empty: only when somebody asks
	Keep     int       // dumps; those beyond go with the next one
	DueSince time.Time // up to when dumps by the schedule were made or asked for
	Trouble  string    // why the last dump that was tried came to nothing; empty: it did not
	At       time.Time // when that was
}

// MaxKeep bounds how many dumps are kept.
const MaxKeep = 365

// ActorSchedule is who asks for what is due.
const ActorSchedule = "schedule"

const backupScheduleHint = "daily@03:00, a day of the week as in sun@03:00, or off"

// ParseBackupSchedule reads daily@HH:MM or a day of the week and a time as in
// sun@HH:MM, by the clock of the app's time zone.
func ParseBackupSchedule(field, text string) (Schedule, error) {
	day, at, _ := strings.Cut(strings.ToLower(text), "@")
	clock, err := time.Parse("15:04", at)
	if err != nil || len(at) != len("15:04") {
		return Schedule{}, Invalid(field, fmt.Sprintf("%q names no time of the day", text), backupScheduleHint)
	}
	days := "*"
	if day != "daily" {
		days = day
		if !slices.Contains(scheduleFields[4].names, day) {
			return Schedule{}, Invalid(field, fmt.Sprintf("%q is no day of the week", day), backupScheduleHint)
		}
	}
	return ParseSchedule(field, fmt.Sprintf("%d %d * * %s", clock.Minute(), clock.Hour(), days))
}

// CheckKeep accepts how many dumps are kept.
func CheckKeep(field string, n int) error {
	if n < 1 || n > MaxKeep {
		return Invalid(field, fmt.Sprintf("must be 1 to %d", MaxKeep), "")
	}
	return nil
}

// Next is when the plan makes a dump next by the clock of the zone, or the zero
// time. What was missed counts once, at the first of its times.
func (p BackupPlan) Next(zone *time.Location) time.Time {
	if p.Schedule == "" {
		return time.Time{}
	}
	s, err := ParseBackupSchedule("schedule", p.Schedule)
	if err != nil {
		return time.Time{}
	}
	return s.Next(p.DueSince.In(zone))
}
