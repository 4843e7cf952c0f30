// Package storetest proves that a store keeps its promises: one suite, run on
// SQLite and on a real PostgreSQL, which it also starts for tests of others.
package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/serverplane/serverplane/internal/store"
)

// SQLite opens a new store in a temporary file that the test closes at its end.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, store.Config{Path: filepath.Join(t.TempDir(), "panel.db")})
}

// Open opens a store that the test closes at its end.
func Open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// Run runs the whole suite; open returns a new, empty store each time.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	for name, test := range map[string]func(kit){
		"a transaction is all or nothing":         transactions,
		"a panic leaves nothing and blocks none":  panics,
		"read sees one state and changes nothing": reads,
		"what was read stays true in a write":     increments,
		"servers":                                 servers,
		"server constraints":                      serverRules,
		"tree generations":                        trees,
		"what nginx says":                         nginxLooks,
		"ports":                                   ports,
		"apps":                                    apps,
		"app constraints":                         appRules,
		"removing an app":                         appRemoval,
		"sessions":                                sessions,
		"variables":                               variables,
		"databases":                               databases,
		"who may connect to databases":            databaseAccess,
		"dumps of databases":                      databaseBackups,
		"deployments":                             deployments,
		"backends":                                backends,
		"backend constraints":                     backendRules,
		"health changes":                          healthChanges,
		"health minutes":                          healthMinutes,
		"what was served":                         served,
		"entry logs":                              entryLogs,
		"processes":                               processes,
		"process constraints":                     processRules,
		"process states":                          processStates,
		"runs":                                    runs,
		"run filters":                             runFilters,
		"runs nobody tried again":                 troubledRuns,
		"claims and locks":                        claims,
		"shared locks":                            sharedLocks,
		"a waiting run is not overtaken":          queuesBehind,
		"receipts":                                receipts,
		"a run's owner":                           owners,
		"finishing":                               finishes,
		"cancelling":                              cancels,
		"interrupting":                            interrupts,
		"run constraints":                         runRules,
		"the run machine":                         runMachine,
		"events":                                  events,
		"events appended at once":                 eventsAtOnce,
		"users":                                   users,
		"tokens":                                  tokens,
		"audits":                                  audits,
		"settings":                                settings,
		"leases":                                  leases,
	} {
		t.Run(name, func(t *testing.T) { test(newKit(t, open(t))) })
	}
	t.Run("work shared by eight", func(t *testing.T) { ShareWork(t, open(t)) })
}
