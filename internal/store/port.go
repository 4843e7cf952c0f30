package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
)

// TakePorts records and returns the n lowest ports of plane's range that no
// backend has on the server and that are not in avoid. The backend's row must
// exist when the transaction commits; its removal frees them. No room left is
// a conflict.
func (t *Tx) TakePorts(ctx context.Context, serverID, backendID string, n int, avoid []int) ([]int, error) {
	taken, err := many(ctx, t, "list ports", single[int], `SELECT port FROM ports WHERE server_id = $1 ORDER BY port`, serverID)
	if err != nil {
		return nil, err
	}
	free := freePorts(n, taken, avoid)
	if len(free) < n {
		return nil, plane.Conflict("the server has no free ports left", "remove apps or backends from it")
	}
	for _, p := range free {
		if err := t.insert(ctx, "port", fmt.Sprint(p),
			`INSERT INTO ports (server_id, port, backend_id) VALUES ($1, $2, $3)`, serverID, p, backendID); err != nil {
			return nil, err
		}
	}
	return free, nil
}

// freePorts expects taken in ascending order.
func freePorts(n int, taken, avoid []int) []int {
	free := make([]int, 0, n)
	for p := plane.FirstPort; p <= plane.LastPort && len(free) < n; p++ {
		_, used := slices.BinarySearch(taken, p)
		if !used && !slices.Contains(avoid, p) {
			free = append(free, p)
		}
	}
	return free
}

// FreePorts gives the backend's ports back.
func (t *Tx) FreePorts(ctx context.Context, backendID string) error {
	_, err := t.exec(ctx, "free ports", `DELETE FROM ports WHERE backend_id = $1`, backendID)
	return err
}
