package store_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/store/storetest"
)

var postgres *storetest.Postgres

func TestMain(m *testing.M) { os.Exit(withPostgres(m)) }

func withPostgres(m *testing.M) int {
	p, err := storetest.StartPostgres()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start postgres:", err)
		return 1
	}
	defer p.Stop() //nolint:errcheck // a folder left behind fails no test
	postgres = p
	return m.Run()
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.SQLite(t) })
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store { return postgres.Open(t) })
}
