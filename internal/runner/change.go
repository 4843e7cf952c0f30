package runner

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// change reads a backend anew inside the transaction and stores it with what set
// changed: a Run that lasts minutes must not write back what a person wished
// differently meanwhile.
func change(ctx context.Context, tx *store.Tx, id string, set func(b *plane.Backend)) error {
	b, err := tx.Backend(ctx, id)
	if err != nil {
		return err
	}
	set(&b)
	return tx.UpdateBackend(ctx, b)
}
