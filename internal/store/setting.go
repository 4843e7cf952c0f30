package store

import "context"

// Setting returns the value kept under the key, or ErrNotFound.
func (t *Tx) Setting(ctx context.Context, key string) ([]byte, error) {
	return one(ctx, t, "setting", key, single[[]byte], `SELECT value FROM settings WHERE name = $1`, key)
}

// SetSetting keeps the value under the key in place of a former one.
func (t *Tx) SetSetting(ctx context.Context, key string, value []byte) error {
	return t.insert(ctx, "setting", key, `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, key, bytesOf(value))
}
