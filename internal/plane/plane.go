// Package plane is the domain of ServerPlane: its nouns, the rules that hold
// for them, their state machines and the codes of the errors a person sees.
// It imports nothing of ours and touches neither network nor disk.
package plane

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// Id prefixes; an id is its prefix followed by 16 characters [a-z2-7].
const (
	PrefixServer     = "srv_"
	PrefixApp        = "app_"
	PrefixBackend    = "bck_"
	PrefixDeployment = "dep_"
	PrefixRun        = "run_"
	PrefixUser       = "usr_"
	PrefixToken      = "tok_"
	PrefixAudit      = "aud_"
	PrefixPanel      = "pnl_"
	PrefixDatabase   = "dbs_"
	PrefixBackup     = "bkp_"
)

// NewID returns a random id with the given prefix: 80 bits, safe in file,
// unit and upstream names.
func NewID(prefix string) string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
}

// IsID tells whether the text can be an id with the prefix: only such are asked
// of a store, for one database takes bytes that another refuses.
func IsID(prefix, id string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	return ok && rest != "" && len(rest) <= 32 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
