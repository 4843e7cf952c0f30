// Package config turns flags and environment into a Config and says what is
// wrong with it before anything starts.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Config is how the panel is run.
type Config struct {
	DataDir                   string // holds the SQLite file, keys, mirrors and workspaces
	Listen                    string // address:port of the API
	DatabaseURL               string // postgres://…, or empty for SQLite in DataDir
	AllowInsecureRepositories bool   // let http, git and file repositories through (labs, tests)
	LogLevel                  slog.Level
	TrustedProxies            string // addresses and networks, with commas between
}

// Default is the Config without any flag or variable.
func Default() Config {
	return Config{DataDir: "./data", Listen: "127.0.0.1:7080"}
}

// FromEnv is Default with what the environment says; flags added afterwards win.
// The database URL holds a password: give it here, where other users of the
// machine do not see it in the process list.
func FromEnv(lookup func(string) (string, bool)) (Config, error) {
	c := Default()
	for name, to := range map[string]*string{
		"SERVERPLANE_DATA": &c.DataDir, "SERVERPLANE_LISTEN": &c.Listen, "SERVERPLANE_DATABASE_URL": &c.DatabaseURL,
		"SERVERPLANE_TRUSTED_PROXY": &c.TrustedProxies,
	} {
		if v, ok := lookup(name); ok && v != "" {
			*to = v
		}
	}
	if v, ok := lookup("SERVERPLANE_ALLOW_INSECURE_REPOSITORIES"); ok && v != "" {
		allow, err := strconv.ParseBool(v)
		if err != nil {
			return c, errors.New("SERVERPLANE_ALLOW_INSECURE_REPOSITORIES: must be true or false")
		}
		c.AllowInsecureRepositories = allow
	}
	if v, ok := lookup("SERVERPLANE_LOG_LEVEL"); ok && v != "" {
		if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
			return c, errors.New("SERVERPLANE_LOG_LEVEL: must be debug, info, warn or error")
		}
	}
	return c, nil
}

// StoreFlags adds the flags that say where the panel's data is.
func (c *Config) StoreFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.DataDir, "data", c.DataDir, "folder of the panel's data (SERVERPLANE_DATA)")
	fs.Var(secretValue{&c.DatabaseURL}, "database-url", "postgres://… instead of SQLite (better SERVERPLANE_DATABASE_URL: flags show in the process list)")
}

// ServeFlags adds the flags of the running panel.
func (c *Config) ServeFlags(fs *pflag.FlagSet) {
	c.StoreFlags(fs)
	fs.StringVar(&c.Listen, "listen", c.Listen, "address:port to answer on (SERVERPLANE_LISTEN)")
	fs.BoolVar(&c.AllowInsecureRepositories, "allow-insecure-repositories", c.AllowInsecureRepositories,
		"let http, git and file repositories through (labs and tests)")
	fs.StringVar(&c.TrustedProxies, "trusted-proxy", c.TrustedProxies,
		"addresses or networks, with commas between, of proxies that are believed about who asks: X-Forwarded-For and X-Forwarded-Proto (SERVERPLANE_TRUSTED_PROXY; default none)")
	fs.TextVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error (SERVERPLANE_LOG_LEVEL)")
}

// Validate says what is wrong and names the flag; it touches nothing.
func (c Config) Validate() error {
	if c.DataDir == "" {
		return errors.New("--data: must be a folder")
	}
	if err := c.validateListen(); err != nil {
		return err
	}
	if _, err := c.Trusted(); err != nil {
		return err
	}
	return c.validateDatabase()
}

func (c Config) validateListen() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %q must be address:port, for example 127.0.0.1:7080", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("--listen: port %q must be 0 to 65535", port)
	}
	if host != "localhost" && host != "" && net.ParseIP(host) == nil {
		return fmt.Errorf("--listen: %q must be an IP address or localhost", host)
	}
	return nil
}

// Trusted are the proxies whose word on who asks is believed.
func (c Config) Trusted() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for text := range strings.SplitSeq(c.TrustedProxies, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxy: %q must be an address or a network, for example 127.0.0.1 or 10.0.0.0/8", text)
		}
		if p.Bits() == 0 {
			return nil, fmt.Errorf("--trusted-proxy: %s is everybody: then any visitor could say who they are", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// validateDatabase never repeats the URL: it holds a password.
func (c Config) validateDatabase() error {
	if c.DatabaseURL == "" {
		return nil
	}
	u, err := url.Parse(c.DatabaseURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return errors.New("--database-url: must begin with postgres:// (leave it out for SQLite)")
	}
	return nil
}

// Warnings says what works but should be known.
func (c Config) Warnings() []string {
	var out []string
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && !loopback(host) {
		out = append(out, "the panel listens on "+c.Listen+" without TLS: whoever sees the traffic sees tokens; put a TLS proxy in front or listen on 127.0.0.1 and use an SSH tunnel")
	}
	if c.AllowInsecureRepositories {
		out = append(out, "repositories may be fetched over unprotected ways (--allow-insecure-repositories)")
	}
	return out
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// secretValue is a flag whose default is not printed by --help.
type secretValue struct{ to *string }

func (v secretValue) Set(text string) error { *v.to = text; return nil }
func (v secretValue) String() string        { return "" }
func (v secretValue) Type() string          { return "string" }
