package storetest

import (
	"context"

	"github.com/serverplane/serverplane/internal/store"
)

func settings(k kit) {
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Setting(ctx, "panel"); return err })
	k.write(put("panel", "pnl_1"))
	k.write(put("other", "\x00\xff'"))
	k.write(put("panel", "pnl_2"))
	same(k, "last value", k.setting("panel"), "pnl_2")
	same(k, "bytes", k.setting("other"), "\x00\xff'")
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "panel", nil) })
	same(k, "nothing", k.setting("panel"), "")
}
