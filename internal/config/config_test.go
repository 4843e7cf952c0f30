package config

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func from(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestFlagsWinOverEnvironmentWinsOverDefault(t *testing.T) {
	c, err := FromEnv(from(map[string]string{
		"SERVERPLANE_DATA": "/env", "SERVERPLANE_LISTEN": "127.0.0.1:1", "SERVERPLANE_LOG_LEVEL": "warn",
		"SERVERPLANE_ALLOW_INSECURE_REPOSITORIES": "1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.ServeFlags(fs)
	if err := fs.Parse([]string{"--data", "/flag", "--database-url", "postgres://u:p@h/d"}); err != nil {
		t.Fatal(err)
	}
	want := Config{DataDir: "/flag", Listen: "127.0.0.1:1", DatabaseURL: "postgres://u:p@h/d", AllowInsecureRepositories: true, LogLevel: slog.LevelWarn}
	if c != want {
		t.Errorf("got %+v", c)
	}
}

func TestBadEnvironmentNamesTheVariable(t *testing.T) {
	for _, name := range []string{"SERVERPLANE_ALLOW_INSECURE_REPOSITORIES", "SERVERPLANE_LOG_LEVEL"} {
		if _, err := FromEnv(from(map[string]string{name: "perhaps"})); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		want   string // part of the error, or empty
	}{
		"default":        {func(*Config) {}, ""},
		"any address":    {func(c *Config) { c.Listen = "0.0.0.0:80" }, ""},
		"v6":             {func(c *Config) { c.Listen = "[::1]:0" }, ""},
		"no port":        {func(c *Config) { c.Listen = "127.0.0.1" }, "--listen"},
		"bad port":       {func(c *Config) { c.Listen = "127.0.0.1:99999" }, "--listen: port"},
		"a name":         {func(c *Config) { c.Listen = "panel.example:80" }, "--listen"},
		"no data":        {func(c *Config) { c.DataDir = "" }, "--data"},
		"other database": {func(c *Config) { c.DatabaseURL = "mysql://u:hunter2@h/d" }, "--database-url"},
		"proxies":        {func(c *Config) { c.TrustedProxies = "127.0.0.1, ::1,10.0.0.0/8" }, ""},
		"no proxy":       {func(c *Config) { c.TrustedProxies = "proxy.example" }, "--trusted-proxy"},
		"everybody":      {func(c *Config) { c.TrustedProxies = "0.0.0.0/0" }, "everybody"},
		"broken URL":     {func(c *Config) { c.DatabaseURL = "postgres://u:hunter2@h:x/d" }, "--database-url"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := Default()
			tc.change(&c)
			err := c.Validate()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for listen, want := range map[string]int{"127.0.0.1:1": 0, "[::1]:1": 0, "localhost:1": 0, "0.0.0.0:1": 1, ":1": 1, "198.18.0.1:1": 1} {
		c := Default()
		c.Listen = listen
		if got := c.Warnings(); len(got) != want {
			t.Errorf("%s: %v", listen, got)
		}
	}
}

func TestHelpDoesNotPrintTheDatabasePassword(t *testing.T) {
	c, err := FromEnv(from(map[string]string{"SERVERPLANE_DATABASE_URL": "postgres://u:hunter2@h/d"}))
	if err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.ServeFlags(fs)
	if strings.Contains(fs.FlagUsages(), "hunter2") {
		t.Error("--help prints the password")
	}
}
