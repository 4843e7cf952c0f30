package control

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
)

// Seen names a state of settings that somebody looked at. A change that carries
// it is refused, in the same transaction that would write it, when the settings
// are no longer so. Empty means: whatever they are.
type Seen string

// still refuses a change of what has become something else.
func (s Seen) still(now Seen) error {
	if s == "" || s == now {
		return nil
	}
	return plane.Conflict("somebody else changed this meanwhile", "look at what it is now, then change it again")
}

// SeenShare is what somebody saw of a backend's share.
func SeenShare(b plane.Backend) Seen { return Seen(fmt.Sprintf("%d|%t", b.Weight, b.Backup)) }

// SeenBalancer is what somebody saw of an app's method and health check.
func SeenBalancer(lb plane.LoadBalancer, path string) Seen {
	h := lb.Health
	return Seen(fmt.Sprintf("%s|%s|%s|%s|%d|%d|%t|%d|%t", lb.Method, path, h.Interval, h.Timeout, h.Fall, h.Rise, h.TakeOut, max(1, h.Floor), lb.NameHeader))
}

// SeenApp is what somebody saw of an app's settings.
func SeenApp(a plane.App) Seen { return digest(a.Repository, a.Branch, a.Domains, a.Spec) }

// SeenVariables is what somebody saw of an app's variables, with values or without.
func SeenVariables(all []VariableView) Seen {
	versions := map[string]string{}
	for _, v := range all {
		if v.Computed == "" {
			versions[v.Name] = v.Version
		}
	}
	return digest(versions)
}

func digest(of ...any) Seen {
	raw, err := json.Marshal(of)
	if err != nil {
		return "unknown" // such a thing is equal to nothing anybody saw
	}
	sum := sha256.Sum256(raw)
	return Seen(hex.EncodeToString(sum[:]))
}
