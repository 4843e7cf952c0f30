// Boxed is an app that needs nothing around it, for an image FROM scratch: it tells which backend serves, and what it sees of its
// variables. Built without cgo it is one file.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	do := serve
	switch {
	case len(os.Args) > 1 && os.Args[1] == "work":
		do = work
	case len(os.Args) > 1 && os.Args[1] == "tick":
		do = tick
	case len(os.Args) > 2 && os.Args[1] == "knock":
		do = knock
	}
	if err := do(); err != nil {
		log.Fatal(err)
	}
}

// work says ten times a second that it runs, and needs a while to finish what it is at. It listens like the slot does, where nobody
// is to reach it.
func work() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { _ = http.ListenAndServe(":3000", pages()) }()
	beat := time.NewTicker(100 * time.Millisecond)
	defer beat.Stop()
	word := "begin"
	for {
		if err := note("beats", word); err != nil {
			return err
		}
		word = "beat"
		select {
		case <-beat.C:
		case <-ctx.Done():
			return finish()
		}
	}
}

func finish() error {
	if err := note("beats", "term"); err != nil {
		return err
	}
	<-time.After(time.Second) // a piece of work
	return note("beats", "end")
}

func tick() error { return note("ticks", os.Getenv("SERVERPLANE_SERVER")) }

// knock tells whether a stranger's container reaches an address.
func knock() error {
	conn, err := net.DialTimeout("tcp", os.Args[2], 2*time.Second)
	if err != nil {
		_, err = fmt.Println("refused")
		return err
	}
	_, err = fmt.Println("reached")
	return errors.Join(err, conn.Close())
}

// note adds a line to a file in the shared path.
func note(file, word string) error {
	f, err := os.OpenFile("/data/"+file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid(), time.Now().UnixMilli(), os.Getenv("SERVERPLANE_RELEASE"), word)
	return errors.Join(err, f.Close())
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	address := net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT"))
	if other := os.Getenv("LISTEN"); other != "" { // what does not do as it is told
		address = other
	}
	s := &http.Server{Addr: address, Handler: pages()}
	over := make(chan error)
	go func() {
		<-ctx.Done()
		over <- s.Shutdown(context.Background())
	}()
	log.Printf("listening on %s", address)
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-over
}

func pages() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		tell(w, map[string]any{
			"server": os.Getenv("SERVERPLANE_SERVER"), "release": os.Getenv("SERVERPLANE_RELEASE"), "version": os.Getenv("APP_VERSION"), "user": os.Getuid(),
			"length": len(body), "sha256": digest(string(body)), "addresses": addresses(),
		})
	})
	m.HandleFunc("/env/{name}", func(w http.ResponseWriter, r *http.Request) {
		value := os.Getenv(r.PathValue("name"))
		tell(w, map[string]any{"sha256": digest(value), "bytes": len(value)})
	})
	m.HandleFunc("/chatter/{lines}", chatter)
	m.HandleFunc("/db", func(w http.ResponseWriter, r *http.Request) {
		seen, err := database(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		tell(w, seen)
	})
	return m
}

// chatter writes lines of 6 KB that nothing makes smaller, and numbers them.
func chatter(w http.ResponseWriter, r *http.Request) {
	lines, err := strconv.Atoi(r.PathValue("lines"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	raw := make([]byte, 4500)
	for n := range lines {
		_, _ = rand.Read(raw) // it never fails
		fmt.Println("chatter", n+1, base64.StdEncoding.EncodeToString(raw))
	}
	tell(w, map[string]any{"lines": lines})
}

// database signs in by the one variable that most programs ask for.
func database(ctx context.Context) (map[string]any, error) {
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	var role, from string
	var encrypted bool
	err = conn.QueryRow(ctx, "select current_user, host(inet_client_addr()), (select ssl from pg_stat_ssl where pid = pg_backend_pid())").Scan(&role, &from, &encrypted)
	return map[string]any{"role": role, "from": from, "encrypted": encrypted}, errors.Join(err, conn.Close(ctx))
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// addresses are the container's own, for a story that tries to reach it past the entry.
func addresses() []string {
	found, _ := net.InterfaceAddrs()
	list := []string{}
	for _, a := range found {
		if ip, is := a.(*net.IPNet); is && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			list = append(list, ip.IP.String())
		}
	}
	return list
}

func tell(w http.ResponseWriter, v map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err)
	}
}
