package store

import (
	"context"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
)

// SetVariable stores the variable, new or in place of the one with its name.
func (t *Tx) SetVariable(ctx context.Context, v plane.Variable) error {
	return t.insert(ctx, "variable", v.Name, `INSERT INTO variables (app_id, name, sealed, updated_at)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (app_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`,
		v.AppID, v.Name, bytesOf(v.Sealed), micros(v.UpdatedAt))
}

// UnsetVariable tells whether there was such a variable to forget.
func (t *Tx) UnsetVariable(ctx context.Context, appID, name string) (existed bool, err error) {
	n, err := t.exec(ctx, "unset variable", `DELETE FROM variables WHERE app_id = $1 AND name = $2`, appID, name)
	return n > 0, err
}

// Variables returns the app's variables by name, in byte order.
func (t *Tx) Variables(ctx context.Context, appID string) ([]plane.Variable, error) {
	// The collation of a PostgreSQL database may order otherwise than SQLite.
	all, err := many(ctx, t, "list variables", scanVariable,
		`SELECT app_id, name, sealed, updated_at FROM variables WHERE app_id = $1`, appID)
	slices.SortFunc(all, func(a, b plane.Variable) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

func scanVariable(r row, v *plane.Variable) error {
	return r.Scan(&v.AppID, &v.Name, &v.Sealed, instant{&v.UpdatedAt})
}
