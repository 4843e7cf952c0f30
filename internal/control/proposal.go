package control

import (
	"cmp"
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// lookLimit is how long a person waits for a look at a repository.
const lookLimit = 60 * time.Second

// Kinds are those an app can be of.
func (c *Control) Kinds() []plane.Definition { return c.kinds.All() }

// ProposeKind looks at a repository and proposes of which kind an app of it would be, with the evidence.
// Nothing is kept.
func (c *Control) ProposeKind(ctx context.Context, _ plane.Actor, w AppWish) (plane.Proposal, error) {
	branch := cmp.Or(w.Branch, plane.DefaultBranch)
	for _, err := range []error{
		plane.CheckRepository("repository", w.Repository, c.insecure), plane.CheckBranch("branch", branch), plane.CheckRoot("root", w.Spec.Root),
	} {
		if err != nil {
			return plane.Proposal{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	paths, texts, err := c.sources.Look(ctx, w.Repository, branch, plane.LooksInside)
	if err != nil {
		return plane.Proposal{}, plane.Invalid("repository", "could not be looked at: "+err.Error(),
			"say the app's kind; a private repository can be read once the app is there and the Git host has its deploy key")
	}
	return c.kinds.Propose(plane.Files{Paths: paths, Texts: texts}, w.Spec)
}
