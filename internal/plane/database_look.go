package plane

import "time"

// DatabaseQuery says what is to be read of a database's engine.
type DatabaseQuery struct {
	Engine   Engine
	Port     int
	Database string   // its name in the engine
	Roles    []string // who signs in to it
}

// DatabaseLook is what an engine said of a database when it was asked, or why it
// could not be.
type DatabaseLook struct {
	TakenAt     time.Time         `json:"taken_at"`
	Vantage     string            `json:"vantage"`
	Reason      string            `json:"reason"` // not empty: nothing could be read, and nothing below counts
	Version     string            `json:"version"`
	Listening   []string          `json:"listening"` // address:port, as the server's kernel has it
	Bytes       int64             `json:"bytes"`     // of the database on disk
	Used        int               `json:"used"`      // connections the whole engine has
	Limit       int               `json:"limit"`     // that it takes in all
	Reserved    int               `json:"reserved"`  // of them, kept for administrators
	Connections []ConnectionsFrom `json:"connections"`
	Encrypted   EncryptedShare    `json:"encrypted"`
}

// Known tells whether anything was read.
func (l DatabaseLook) Known() bool { return l.Reason == "" && !l.TakenAt.IsZero() }

// From is how many connections to the database come from the address.
func (l DatabaseLook) From(address string) int {
	for _, c := range l.Connections {
		if c.Address == address {
			return c.Used
		}
	}
	return 0
}

// ConnectionsFrom counts the connections to one database from one address.
type ConnectionsFrom struct {
	Address string `json:"address"` // loopback for the engine's own server
	Used    int    `json:"used"`
}

// EncryptedShare is how many of the database's sessions use TLS: of those there are, or,
// where an engine tells no more, of all since it started.
type EncryptedShare struct {
	Sessions int    `json:"sessions"`
	TLS      int    `json:"tls"`
	Past     bool   `json:"past"`   // counts every session since the engine started
	Reason   string `json:"reason"` // not empty: the engine does not tell
}
