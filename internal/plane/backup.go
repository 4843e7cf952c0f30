package plane

import "time"

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
