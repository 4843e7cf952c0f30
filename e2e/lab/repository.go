package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repository is a Git repository a test or the demo deploys from.
type Repository struct{ Dir string }

// NewRepository makes a repository at dir holding a copy of the example app.
func NewRepository(dir, example string) (*Repository, error) {
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		return nil, fmt.Errorf("copy the example: %w", err)
	}
	r := &Repository{Dir: dir}
	if _, err := r.git("init", "--quiet", "--initial-branch", "main"); err != nil {
		return nil, err
	}
	if _, err := r.git("config", "core.compression", "0"); err != nil { // it does not live long enough to be worth the time
		return nil, err
	}
	_, err := r.Commit("the example app")
	return r, err
}

// URL is the address to deploy from; it needs --allow-insecure-repositories.
func (r *Repository) URL() string { return "file://" + r.Dir }

// Write changes one file; Commit makes it a commit.
func (r *Repository) Write(name, text string) error {
	path := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// Replace changes a part of one file.
func (r *Repository) Replace(name, from, to string) error {
	raw, err := os.ReadFile(filepath.Join(r.Dir, name))
	if err != nil {
		return err
	}
	if !strings.Contains(string(raw), from) {
		return fmt.Errorf("%s does not hold %q", name, from)
	}
	return r.Write(name, strings.Replace(string(raw), from, to, 1))
}

// Commit commits everything and returns the commit's id.
func (r *Repository) Commit(message string) (string, error) {
	if _, err := r.git("add", "--all"); err != nil {
		return "", err
	}
	if _, err := r.git("commit", "--quiet", "--message", message); err != nil {
		return "", err
	}
	return r.git("rev-parse", "HEAD")
}

func (r *Repository) git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
	cmd.Dir = r.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
