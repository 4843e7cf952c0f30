package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func audits(k kit) {
	var want []plane.Audit // newest first
	for i := range 5 {
		a := plane.Audit{ID: fmt.Sprintf("aud_%d", i), Time: day.Add(time.Duration(i/2) * time.Second), UserID: "usr_1",
			Email: "ann@example.com", From: "203.0.113.7", Action: "backend.add", Subject: "web on s2", Detail: "weight 1"}
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.AppendAudit(ctx, a) })
		want = append([]plane.Audit{a}, want...)
	}
	list := func(before string, limit int) []plane.Audit {
		return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Audit, error) { return tx.Audits(ctx, before, limit) })
	}
	same(k, "all", list("", 0), want)
	same(k, "first page", list("", 2), want[:2])
	same(k, "second page", list("aud_3", 2), want[2:4])
	same(k, "after a cursor nobody knows", list("aud_none", 2), nil)
}
