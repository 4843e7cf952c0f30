// Package web is the panel's HTTP server: limits, request ids, headers and the
// access log around the doors. The JSON door lives under its prefix, the
// dashboard everywhere else; /healthz is for anybody.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/api"
	"github.com/serverplane/serverplane/internal/web/reply"
	"github.com/serverplane/serverplane/internal/web/ui"
)

const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	answerTime = 10 * time.Minute // adding a server signs in and surveys it within the request
	stopTime   = 10 * time.Second // for requests under way when the panel stops
	headerSize = 64 << 10
)

// Config is what the server works with.
type Config struct {
	Control api.Control
	Pages   ui.Control // the same verbs, for the dashboard; nil leaves it out
	Hints   ui.Hints
	Log     *slog.Logger
	Version string
	Now     func() time.Time // nil means time.Now
	Trusted []netip.Prefix   // proxies whose word on who asks is believed
}

// Server answers HTTP.
type Server struct {
	log      *slog.Logger
	handler  http.Handler
	api      *api.API
	ui       *ui.UI
	stopping chan struct{}
}

// New builds the server; it starts nothing.
func New(c Config) *Server {
	s := &Server{log: c.Log, stopping: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("/", s.nothing(mux))
	s.api = api.New(mux, api.Config{Control: c.Control, Log: c.Log, Version: c.Version, Stopping: s.stopping})
	if c.Pages != nil {
		s.ui = ui.New(mux, ui.Config{Control: c.Pages, Hints: c.Hints, Log: c.Log, Version: c.Version, Stopping: s.stopping, Now: c.Now, Secure: byTLS})
	}
	s.handler = requestID(behind(c.Trusted, s.accessLog(s.recovered(headers(mux)))))
	return s
}

// Handler is the whole server as a handler.
func (s *Server) Handler() http.Handler { return s.handler }

// Routes lists the API's operations.
func (s *Server) Routes() []api.Route { return s.api.Routes() }

// Pages lists the dashboard's pages and forms.
func (s *Server) Pages() []ui.Route { return s.ui.Routes() }

// Run answers on l until ctx ends, then lets requests under way finish (waiting
// ones end at once) and returns. Call it once.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, WriteTimeout: answerTime,
		MaxHeaderBytes: headerSize, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("answer on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	close(s.stopping)
	late, stop := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer stop()
	err := srv.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-served //nolint:errcheck // it ended because it was asked to; how that went is in err
	if err != nil {
		return fmt.Errorf("stop answering: %w", err)
	}
	return nil
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// nothing answers what no route takes, in the form every error of that door has.
func (s *Server) nothing(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.ui != nil && !strings.HasPrefix(r.URL.Path, "/api/") {
			s.ui.Missing(w, r)
			return
		}
		if !otherMethod(mux, r) {
			reply.Write(w, reply.Of(r.Context(), s.log, &plane.Error{
				Code: plane.CodeNotFound, Message: "there is nothing at this address", Hint: "the addresses are in " + api.Prefix + "/openapi.json",
			}))
			return
		}
		reply.Write(w, reply.Malformed(http.StatusMethodNotAllowed, "", "this address does not take "+r.Method,
			"the methods are in "+api.Prefix+"/openapi.json"))
	}
}

func otherMethod(mux *http.ServeMux, r *http.Request) bool {
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); m != r.Method && pattern != "/" {
			return true
		}
	}
	return false
}
