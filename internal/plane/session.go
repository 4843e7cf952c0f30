package plane

import "time"

// PrefixSession begins the id of every session.
const PrefixSession = "ses_"

// How long a session lasts: unused for SessionIdle, or SessionLife old, it is
// over, whatever its browser still holds.
const (
	SessionIdle = 3 * 24 * time.Hour
	SessionLife = 30 * 24 * time.Hour
)

// Session is one browser in which a person is signed in.
type Session struct {
	ID        string
	UserID    string
	Hash      string // hex SHA-256 of the secret, which only the browser has
	From      string // where the person signed in
	Agent     string // what the browser called itself then
	CreatedAt time.Time
	UsedAt    time.Time
}

// Over tells whether the session has ended by its age.
func (s Session) Over(now time.Time) bool {
	return now.Sub(s.UsedAt) >= SessionIdle || now.Sub(s.CreatedAt) >= SessionLife
}
