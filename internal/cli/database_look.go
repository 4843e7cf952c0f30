package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/serverplane/serverplane/client"
)

// nowLines is what the engine said when it was asked.
func nowLines(now *client.DatabaseNow) [][]string {
	switch {
	case now == nil:
		return nil
	case now.Reason != "":
		return [][]string{{"now", fmt.Sprintf("unknown: %s (%s, from %s)", now.Reason, stamp(now.At), now.Vantage)}}
	}
	return [][]string{
		{"now", fmt.Sprintf("asked %s from %s", stamp(now.At), now.Vantage)},
		{"  size", size(now.Bytes)}, {"  version", now.Version}, {"  listens on", or(strings.Join(now.Listening, ", "))},
		{"  connections", fmt.Sprintf("%d of %d", now.Used, now.Allowed)}, {"  encrypted", tlsLine(now.TLS)}, {"  from elsewhere", or(elsewhere(now))},
	}
}

func tlsLine(s client.TLSShare) string {
	switch {
	case s.Reason != "":
		return "unknown: " + s.Reason
	case s.Sessions == 0:
		return "no sessions"
	case s.Since == "start":
		return fmt.Sprintf("%d%%, %d of %d sessions since the engine started", 100*s.Encrypted/s.Sessions, s.Encrypted, s.Sessions)
	}
	return fmt.Sprintf("%d%%, %d of %d sessions", 100*s.Encrypted/s.Sessions, s.Encrypted, s.Sessions)
}

func elsewhere(now *client.DatabaseNow) string {
	var all []string
	for _, c := range now.Connections {
		if c.Server == "" {
			all = append(all, fmt.Sprintf("%d from %s", c.Used, c.Address))
		}
	}
	return strings.Join(all, ", ")
}

func usedFrom(now *client.DatabaseNow, address string) string {
	if now == nil || now.Reason != "" {
		return "unknown"
	}
	n := 0
	for _, c := range now.Connections {
		if c.Address == address {
			n += c.Used
		}
	}
	return strconv.Itoa(n)
}

// size is a number of bytes in the largest unit that leaves something before the point.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

func loginLine(d client.Database) string {
	since := "since it was made"
	if !d.PasswordAt.IsZero() {
		since = "password of " + stamp(d.PasswordAt)
	}
	switch d.PasswordChange {
	case "next":
		since += "; a new one waits for a deployment: env apply " + d.App
	case "former":
		since += "; the one before is still valid: env apply " + d.App
	}
	return d.Login + ", " + since
}

func backupLines(d client.Database) [][]string {
	line := fmt.Sprintf("when asked; the newest %d are kept", d.Keep)
	if d.BackupSchedule != "off" {
		line = fmt.Sprintf("%s, next %s; the newest %d are kept", d.BackupSchedule, stamp(d.NextBackup), d.Keep)
	}
	lines := [][]string{{"backups", line}}
	if d.BackupTrouble != "" {
		lines = append(lines, []string{"last dump", fmt.Sprintf("CAME TO NOTHING at %s: %s", stamp(d.BackupTroubleAt), d.BackupTrouble)})
	}
	return lines
}
