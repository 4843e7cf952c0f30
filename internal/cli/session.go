package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/serverplane/serverplane/client"
)

// session is the panel to speak to, and as whom.
type session struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// panel returns a client of the panel of the environment or of the last login.
func (sh *shell) panel() (*client.Client, error) {
	s, err := currentSession()
	if err != nil {
		return nil, err
	}
	return sh.dial(s)
}

func (sh *shell) dial(s session) (*client.Client, error) {
	away := func(err error) { sh.say("the panel is away, trying again: %s", err) }
	c, err := client.New(s.URL, s.Token, client.Options{Away: once(away)})
	if err != nil {
		return nil, &usageError{text: err.Error()}
	}
	return c, nil
}

// once keeps a long absence from filling the screen.
func once(fn func(error)) func(error) {
	last := ""
	return func(err error) {
		if err.Error() != last {
			last = err.Error()
			fn(err)
		}
	}
}

// currentSession lets the environment win. The stored token is only ever sent
// to the panel it was stored for.
func currentSession() (session, error) {
	env := session{URL: os.Getenv("SERVERPLANE_URL"), Token: os.Getenv("SERVERPLANE_TOKEN")}
	if env.URL != "" && env.Token != "" {
		return env, nil
	}
	stored, err := loadSession()
	if err != nil {
		return session{}, err
	}
	if env.URL != "" && env.URL != stored.URL {
		return session{}, &usageError{text: "SERVERPLANE_URL names another panel than the last login", hint: "set SERVERPLANE_TOKEN too"}
	}
	if env.Token != "" {
		stored.Token = env.Token
	}
	if stored.URL == "" || stored.Token == "" {
		return session{}, &usageError{text: "no panel is known", hint: "serverplane login URL --token T, or set SERVERPLANE_URL and SERVERPLANE_TOKEN"}
	}
	return stored, nil
}

func sessionPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find your configuration folder: %w", err)
	}
	return filepath.Join(dir, "serverplane", "login.json"), nil
}

// loadSession is empty when there was no login.
func loadSession() (session, error) {
	path, err := sessionPath()
	if err != nil {
		return session{}, err
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return session{}, nil
	}
	if err != nil {
		return session{}, fmt.Errorf("read login: %w", err)
	}
	var s session
	if err := json.Unmarshal(raw, &s); err != nil {
		return session{}, fmt.Errorf("read login %s: %w", path, err)
	}
	return s, nil
}

// save writes the login for this user's eyes only.
func (s session) save() error {
	path, err := sessionPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store login: %w", err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("store login: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".login-*") // mode 0600
	if err != nil {
		return fmt.Errorf("store login: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("store login: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
