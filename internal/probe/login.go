package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// Login is one attempt to sign in to a database, and from where.
type Login struct {
	From     remote.Target
	FromName string
	Engine   plane.Engine
	Address  netip.AddrPort
	Role     string
	Database string
	Password string
	CA       []byte // PEM; nil: without TLS
	Timeout  time.Duration
}

// SignIn tries to sign in and to have a query answered, once. A refusal is what a firewall
// or the engine says to this name from this place. What the panel's own side could not do is
// unknown, and so is an engine that is full, starting, or says nothing once it took the
// connection: nobody was judged.
func (p *Prober) SignIn(ctx context.Context, l Login) plane.Proof {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	proof := plane.Proof{At: p.now().UTC(), Vantage: l.FromName + ", forwarded over SSH"}
	ask := signInPostgreSQL
	if l.Engine == plane.MariaDB {
		ask = signInMariaDB
	}
	var dialled error
	begun := p.now()
	version, err := ask(ctx, l, func(ctx context.Context) (net.Conn, error) {
		conn, err := p.dialer.Dial(ctx, l.From, l.Address.String())
		if err != nil {
			dialled = err
			return nil, err
		}
		return deadlined(ctx, conn), nil
	})
	proof.Latency = plane.Duration(p.now().Sub(begun))
	switch {
	case err == nil:
		proof.Verdict, proof.Answer, proof.TLS = plane.Pass, "signed in, a query was answered", version
	case dialled != nil && remote.KindOf(dialled) != remote.KindTarget:
		proof.Verdict, proof.Answer = plane.Blind, "the panel cannot look from "+l.FromName+": "+cause(dialled)
	case errors.Is(dialled, context.DeadlineExceeded):
		proof.Verdict, proof.Answer = plane.Fail, "no answer in "+l.Timeout.String()
	case dialled != nil:
		proof.Verdict, proof.Answer = plane.Fail, cause(dialled)
	case refused(err):
		proof.Verdict, proof.Answer = plane.Fail, said(err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		proof.Verdict, proof.Answer = plane.Blind, "it took the connection and did not answer in "+l.Timeout.String()
	default:
		proof.Verdict, proof.Answer = plane.Blind, said(err)
	}
	return proof
}

// refused tells whether an engine's answer is about who asks, and from where. In PostgreSQL that is
// its class 28; the numbers of MariaDB are access denied, to a database, without a password,
// a host that may not connect, and an account that is locked.
func refused(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "28")
	}
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains([]uint16{1045, 1044, 1698, 1130, 4151}, e.Number)
}

// deadlined closes the connection when the time is over: forwarded connections
// know no deadlines.
func deadlined(ctx context.Context, conn net.Conn) net.Conn {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &timed{Conn: conn, stop: stop}
}

type timed struct {
	net.Conn
	stop func() bool
}

func (t *timed) Close() error {
	t.stop()
	return t.Conn.Close()
}

func (t *timed) SetDeadline(time.Time) error      { return nil }
func (t *timed) SetReadDeadline(time.Time) error  { return nil }
func (t *timed) SetWriteDeadline(time.Time) error { return nil }

// said is the database's own words, without what our side adds; no error of
// either driver holds a password.
func said(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code + " " + e.Message
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return fmt.Sprintf("%d %s", e.Number, e.Message)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

func (l Login) tls() *tls.Config {
	if l.CA == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.CA)
	return &tls.Config{RootCAs: roots, ServerName: l.Address.Addr().String(), MinVersion: tls.VersionTLS12}
}

type opener func(ctx context.Context) (net.Conn, error)

// signInPostgreSQL leaves out whatever the panel's own environment says of
// PostgreSQL.
func signInPostgreSQL(ctx context.Context, l Login, open opener) (version string, err error) {
	c, err := pgconn.ParseConfig("host=127.0.0.1 sslmode=disable")
	if err != nil {
		return "", fmt.Errorf("prepare to sign in: %w", err)
	}
	c.Host, c.Port, c.User, c.Database, c.Password = l.Address.Addr().String(), l.Address.Port(), l.Role, l.Database, l.Password
	c.TLSConfig, c.Fallbacks, c.RuntimeParams = l.tls(), nil, map[string]string{"application_name": "serverplane"}
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return open(ctx) }
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the answer has come
	answer, err := conn.Exec(ctx, "SELECT coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), '')").ReadAll()
	if err != nil || len(answer) == 0 || len(answer[0].Rows) == 0 {
		return "", errors.Join(errors.New("the query was not answered"), err)
	}
	return string(answer[0].Rows[0][0]), nil
}

// silent keeps the driver from writing to the panel's standard error.
type silent struct{}

// Print drops what the driver says beside its errors.
func (silent) Print(...any) {}

func signInMariaDB(ctx context.Context, l Login, open opener) (version string, err error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = l.Role, l.Password, "tcp", l.Address.String(), l.Database
	c.TLS, c.Logger = l.tls(), silent{}
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return open(ctx) }
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return "", fmt.Errorf("prepare to sign in: %w", err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var name string
	err = db.QueryRowContext(ctx, "SHOW SESSION STATUS LIKE 'Ssl_version'").Scan(&name, &version)
	return version, err
}
