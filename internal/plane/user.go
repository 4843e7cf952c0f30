package plane

import (
	"net/mail"
	"time"
)

// Role says what a person may do.
type Role string

// The roles, from most to least.
const (
	RoleOwner  Role = "owner"  // everything, people included
	RoleAdmin  Role = "admin"  // everything but people
	RoleViewer Role = "viewer" // looks, never changes, sees no secret
)

// CheckRole accepts the three roles.
func CheckRole(field string, r Role) error {
	switch r {
	case RoleOwner, RoleAdmin, RoleViewer:
		return nil
	}
	return Invalid(field, "must be owner, admin or viewer", "")
}

// User is a person who may sign in.
type User struct {
	ID           string
	Email        string
	Role         Role
	PasswordHash string // argon2id, PHC text form; never leaves the panel
	CreatedAt    time.Time
}

// CheckEmail accepts one bare mail address.
func CheckEmail(field, email string) error {
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || len(email) > 254 {
		return Invalid(field, "must be a mail address", "for example you@example.com")
	}
	return nil
}

// CheckPassword holds for a person's password.
func CheckPassword(field, password string) error {
	if len(password) < 12 || len(password) > 1024 {
		return Invalid(field, "must be 12 to 1024 characters", "use a password manager")
	}
	return nil
}

// Token lets a program act as its user.
type Token struct {
	ID        string
	UserID    string
	Name      string
	Hash      string // hex SHA-256 of the token; the token itself is shown once
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
}

// Actor is who wishes something, and from where.
type Actor struct {
	UserID string
	Email  string
	Role   Role
	From   string // remote address, or "local" for the admin commands

	SessionID string // where it is a browser that is signed in, otherwise empty
}

// Audit is one line of who did what.
type Audit struct {
	ID      string
	Time    time.Time
	UserID  string
	Email   string
	From    string
	Action  string // for example "backend.add"
	Subject string // for example "web on s2"
	Detail  string // never a secret
}
