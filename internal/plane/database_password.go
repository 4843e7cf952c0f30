package plane

import "strings"

// Logins are the two names that may sign in to a database, one at a time but while a
// password is changed: the role itself, and a second that acts as the role. No
// database's role begins like the second.
func (d Database) Logins() []string {
	return []string{d.Role(), "sp2_" + strings.ReplaceAll(d.Name, "-", "_")}
}

// Login is the name its processes sign in by.
func (d Database) Login() string { return d.Logins()[which(d.Second)] }

// OtherLogin is the name that nobody signs in by, but while a password is changed.
func (d Database) OtherLogin() string { return d.Logins()[which(!d.Second)] }

func which(second bool) int {
	if second {
		return 1
	}
	return 0
}

// Other is the sealed password that the other login has, or empty where it can
// not sign in.
func (d Database) Other() []byte {
	if len(d.Next) > 0 {
		return d.Next
	}
	return d.Former
}

// Renewed is the database once its next password is valid: its variables hold
// that one from now on, and the one before stays valid until the deployment that starts with the new one is at its end.
func (d Database) Renewed() Database {
	d.Second, d.Password, d.Former, d.Next = !d.Second, d.Next, d.Password, nil
	d.Revision++
	return d
}

// Renewing tells whether a change of the password is not at its end.
func (d Database) Renewing() bool { return len(d.Other()) > 0 }

// HasSecond tells whether a password of it was ever changed: from then on its
// engine knows both logins.
func (d Database) HasSecond() bool { return d.Second || d.Renewing() || !d.PasswordAt.IsZero() }

// PasswordChange says where a change of the password stands: next, a new one waits
// for a deployment; former, the one before is still valid; or empty.
func (d Database) PasswordChange() string {
	switch {
	case len(d.Next) > 0:
		return "next"
	case len(d.Former) > 0:
		return "former"
	}
	return ""
}
