package storetest

import (
	"context"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func serverRoundTrip(t *testing.T, s *store.Store) {
	if err := s.Write(context.Background(), func(tx *store.Tx) error {
		return tx.CreateServer(context.Background(), plane.Server{ID: "srv_1", Name: "s1", State: "pending"})
	}); err != nil {
		t.Fatal(err)
	}
}
