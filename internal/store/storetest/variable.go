package storetest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func (k kit) variables(appID string) []plane.Variable {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Variable, error) { return tx.Variables(ctx, appID) })
}

func variables(k kit) {
	k.site()
	k.write(createApp(app("shop", "srv_s1")))
	set := func(appID, name string, sealed []byte, at time.Time) plane.Variable {
		v := plane.Variable{AppID: appID, Name: name, Sealed: sealed, UpdatedAt: at}
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetVariable(ctx, v) })
		return v
	}
	set("app_web", "B", []byte("old"), day)
	other := set("app_shop", "B", []byte("shop's"), day)
	lower := set("app_web", "a_lower", nil, day)
	b := set("app_web", "B", []byte{0, 255, '\''}, day.Add(time.Hour))
	under := set("app_web", "_A", []byte("x"), day)
	same(k, "in byte order, the last value", k.variables("app_web"), []plane.Variable{b, under, lower})
	for _, existed := range []bool{true, false} {
		k.write(func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.UnsetVariable(ctx, "app_web", "B")
			same(k, "existed", got, existed)
			return err
		})
	}
	same(k, "after unset", k.variables("app_web"), []plane.Variable{under, lower})
	same(k, "the other app's", k.variables("app_shop"), []plane.Variable{other})
	k.broken("a variable of no app", func(ctx context.Context, tx *store.Tx) error {
		return tx.SetVariable(ctx, plane.Variable{AppID: "app_none", Name: "A"})
	})
}
