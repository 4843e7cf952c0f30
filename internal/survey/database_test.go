package survey

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store/storetest"
)

// TestLookAtPostgreSQL asks a real one. It has no port and no user postgres here: runuser
// is a program that changes nobody.
func TestLookAtPostgreSQL(t *testing.T) {
	address := storetest.OwnPostgres(t)
	q := address.Query()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "runuser"), []byte("#!/bin/sh\nshift 3\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("PGHOST", q.Get("host"))
	t.Setenv("PGUSER", q.Get("user"))
	name := strings.TrimPrefix(address.Path, "/")

	held := exec.CommandContext(t.Context(), "psql", "-Xq", "-d", address.String(), "-c", "SELECT pg_sleep(600)")
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Process.Kill(); _ = held.Wait() }()
	ask := func(database string) remote.Result {
		order := `{"engine": "postgresql", "port": 5432, "database": "` + database + `", "roles": ["` + q.Get("user") + `"]}`
		cmd := exec.CommandContext(t.Context(), "python3", "-c", databaseLook, order)
		var said strings.Builder
		cmd.Stderr = &said
		out, _ := cmd.Output() // its exit status is part of what is tested
		return remote.Result{Stdout: out, Stderr: []byte(said.String()), Exit: cmd.ProcessState.ExitCode()}
	}
	s := New(nil, nil, "", "serverplane", time.Now)
	var look plane.DatabaseLook
	var err error
	for limit := time.Now().Add(time.Minute); ; {
		if look, err = s.readDatabase(plane.Server{Name: "s1"}, ask(name)); err != nil {
			t.Fatal(err)
		}
		if len(look.Connections) > 0 || time.Now().After(limit) {
			break
		}
	}
	if !look.Known() || look.Vantage != "s1, over SSH" || look.Version == "" || look.Bytes < 1<<20 || look.Limit != 200 || look.Reserved != 3 || look.Used < 2 {
		t.Errorf("%+v", look)
	}
	if look.From("127.0.0.1") != 1 || look.Encrypted.Sessions != 1 || look.Encrypted.TLS != 0 || look.Encrypted.Past {
		t.Errorf("%+v", look)
	}
	if _, err := s.readDatabase(plane.Server{Name: "s1"}, ask("not_there")); err == nil || !strings.Contains(err.Error(), `database "not_there" does not exist`) {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := s.readDatabase(plane.Server{Name: "s1"}, ask("a'b")); err == nil || !strings.Contains(err.Error(), "not a name") {
		t.Errorf("a name with a quote: %v", err)
	}
	t.Setenv("PGHOST", bin)
	if _, err := s.readDatabase(plane.Server{Name: "s1"}, ask(name)); err == nil || !strings.Contains(err.Error(), "the engine refuses") {
		t.Errorf("an engine that does not run: %v", err)
	}
}
