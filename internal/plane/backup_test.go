package plane_test

import (
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestBackupSchedule(t *testing.T) {
	for text, ok := range map[string]bool{
		"daily@03:00": true, "daily@23:59": true, "sun@00:00": true, "SUN@03:00": true,
		"": false, "off": false, "daily": false, "daily@3:00": false, "daily@24:00": false, "daily@03:60": false, "day@03:00": false,
		"weekly@03:00": false, "* * * * *": false, "daily@03:00 ": false, "mon-fri@03:00": false, "@03:00": false, "7@03:00": false,
	} {
		if _, err := plane.ParseBackupSchedule("backup_schedule", text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestBackupPlanNext: what was missed comes once, by the clock of the app's zone.
func TestBackupPlanNext(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	p := plane.BackupPlan{Schedule: "daily@03:00", DueSince: since}
	if got, want := p.Next(time.UTC), time.Date(2026, 7, 2, 3, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("%s", got)
	}
	if got, want := p.Next(berlin), time.Date(2026, 7, 2, 1, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("in Berlin %s", got)
	}
	p.DueSince = since.Add(30 * 24 * time.Hour) // made up for after a month of being away
	if got, want := p.Next(time.UTC), time.Date(2026, 8, 1, 3, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("after it was made up for: %s", got)
	}
	p.Schedule = "sun@03:00"
	if got := p.Next(time.UTC); got.Weekday() != time.Sunday || got.Hour() != 3 {
		t.Errorf("on Sundays: %s", got)
	}
	if got := (plane.BackupPlan{DueSince: since}).Next(time.UTC); !got.IsZero() {
		t.Errorf("without a schedule: %s", got)
	}
}

func TestKeep(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, 365: true, 366: false, -1: false} {
		if (plane.CheckKeep("keep", n) == nil) != ok {
			t.Errorf("%d", n)
		}
	}
}

func TestUsesOfPool(t *testing.T) {
	processes := []plane.Process{
		{Kind: plane.Worker, On: plane.OnAll, Count: 3}, {Kind: plane.Worker, On: plane.OnOne, Count: 2}, {Kind: plane.Cron, On: plane.OnOne},
		{Kind: plane.Worker, On: plane.OnAll, Count: 20, Removing: true},
	}
	b := plane.BudgetOf(plane.DatabaseServer{MaxConnections: 100}, plane.UsesOfPool(10, 4, processes))
	if want := 10*(2+3)*4 + 10*(2+1); b.Wanted != want {
		t.Errorf("%d instead of %d", b.Wanted, want)
	}
}
