package control

import (
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// scheduleOff is the word for a database that is dumped only when somebody asks.
const scheduleOff = "off"

func (ch DatabaseChange) checkBackups() error {
	if ch.BackupSchedule != nil && !strings.EqualFold(*ch.BackupSchedule, scheduleOff) {
		if _, err := plane.ParseBackupSchedule("backup_schedule", *ch.BackupSchedule); err != nil {
			return err
		}
	}
	if ch.Keep != nil {
		return plane.CheckKeep("keep", *ch.Keep)
	}
	return nil
}

func (ch DatabaseChange) noteBackups() string {
	var all []string
	if ch.BackupSchedule != nil {
		all = append(all, "backups "+strings.ToLower(*ch.BackupSchedule))
	}
	if ch.Keep != nil {
		all = append(all, fmt.Sprintf("keep %d", *ch.Keep))
	}
	return strings.Join(all, ", ")
}

// putBackups writes the change. A schedule that is new counts from now: nothing was missed.
func (ch DatabaseChange) putBackups(p *plane.BackupPlan, now time.Time) {
	put(&p.Keep, ch.Keep)
	if ch.BackupSchedule == nil {
		return
	}
	wanted := strings.ToLower(*ch.BackupSchedule)
	if wanted == scheduleOff {
		wanted = ""
	}
	if wanted != p.Schedule {
		p.Schedule, p.DueSince = wanted, now
	}
}
