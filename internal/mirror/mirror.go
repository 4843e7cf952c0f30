// Package mirror keeps the panel's own bare copy of each app's Git repository:
// fetched once per deployment with the app's deploy key, so that the key never
// leaves the panel and a deployed commit cannot vanish by a force-push.
package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Mirrors is the folder of all mirrors.
type Mirrors struct {
	dir      string
	insecure bool
}

// New returns the mirrors under dir, which is made 0700 when first needed.
// Insecure lets git use http, git and file addresses.
//
// Git and ssh work in the mirror's own folder: a relative dir would mean another
// place to them, and the Git host's key would never be found again.
func New(dir string, insecure bool) *Mirrors {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return &Mirrors{dir: dir, insecure: insecure}
}

// Source is where an app's commits come from.
type Source struct {
	App     string // the app's id: the mirror's name
	Address string // checked by the domain
	Key     []byte // the deploy key in PEM form; used by ssh only
}

// Commit is one commit as a person knows it.
type Commit struct {
	ID      string // 40 hex digits
	Author  string
	Subject string
}

// ErrNoCommit says that the repository has no such commit, tag or branch.
var ErrNoCommit = errors.New("no such commit, tag or branch")

var (
	appPattern    = regexp.MustCompile(`^app_[a-z0-9]{1,32}$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
	keepPattern   = regexp.MustCompile(`^dep_[a-z0-9]{1,32}$`)
)

// Fetch brings the mirror up to date. Git's own words are part of the error;
// they hold no secret, for the key is a file.
func (m *Mirrors) Fetch(ctx context.Context, s Source) error {
	dir, err := m.open(ctx, s.App)
	if err != nil {
		return err
	}
	work, err := m.workspace(s.App)
	if err != nil {
		return fmt.Errorf("make a workspace for git: %w", err)
	}
	defer os.RemoveAll(work)
	env, err := m.identify(work, s.Key)
	if err != nil {
		return err
	}
	_, err = m.git(ctx, dir, env, "fetch", "--quiet", "--prune", "--no-tags", "--end-of-options", s.Address,
		"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return err
}

// workspace is the app's own, beside its mirror: what a panel that was killed
// left in it, a deploy key among it, goes with the next fetch or the mirror.
func (m *Mirrors) workspace(app string) (string, error) {
	work := filepath.Join(m.dir, app+".work")
	return work, errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700))
}

// identify writes the deploy key where ssh finds it, and pins the Git host's
// key at first sight for all mirrors.
func (m *Mirrors) identify(work string, key []byte) ([]string, error) {
	file := filepath.Join(work, "key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		return nil, fmt.Errorf("write the deploy key: %w", err)
	}
	ssh := fmt.Sprintf("ssh -F none -i '%s' -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=20 -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile='%s'",
		file, filepath.Join(m.dir, "known_hosts"))
	return []string{"GIT_SSH_COMMAND=" + ssh, "HOME=" + work}, nil
}

// Resolve finds the commit of a branch, a tag or a commit id, in this order.
// It errs with ErrNoCommit when the mirror has none of them.
func (m *Mirrors) Resolve(ctx context.Context, app, ref string) (Commit, error) {
	dir, err := m.open(ctx, app)
	if err != nil {
		return Commit{}, err
	}
	names := []string{"refs/heads/" + ref, "refs/tags/" + ref}
	if commitPattern.MatchString(ref) {
		names = append(names, ref)
	}
	for _, name := range names {
		id, err := m.git(ctx, dir, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
		if err == nil {
			return m.describe(ctx, dir, strings.TrimSpace(id))
		}
	}
	return Commit{}, fmt.Errorf("%w: %q", ErrNoCommit, ref)
}

func (m *Mirrors) describe(ctx context.Context, dir, id string) (Commit, error) {
	out, err := m.git(ctx, dir, nil, "log", "-1", "--no-show-signature", "--format=%an%x00%s", id)
	if err != nil {
		return Commit{}, err
	}
	author, subject, _ := strings.Cut(strings.TrimSuffix(out, "\n"), "\x00")
	return Commit{ID: id, Author: oneLine(author), Subject: oneLine(subject)}, nil
}

// maxLine is how many letters of an author or a subject are kept.
const maxLine = 200

// oneLine makes what a stranger wrote fit to be shown: valid, bounded, without
// control characters and without marks that turn the direction of what follows.
func oneLine(text string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	letters := []rune(strings.TrimSpace(visible))
	if len(letters) > maxLine {
		return string(letters[:maxLine-1]) + "…"
	}
	return string(letters)
}

// Keep holds a deployment's commit in the mirror whatever happens upstream.
func (m *Mirrors) Keep(ctx context.Context, app, deployment, commit string) error {
	if !keepPattern.MatchString(deployment) {
		return fmt.Errorf("keep commit: deployment id %q is not allowed", deployment)
	}
	dir, err := m.open(ctx, app)
	if err != nil {
		return err
	}
	_, err = m.git(ctx, dir, nil, "update-ref", "refs/serverplane/"+deployment, commit)
	return err
}

// Archive streams the exact tree of a commit as a tar. Close ends git.
func (m *Mirrors) Archive(ctx context.Context, app, commit string) (io.ReadCloser, error) {
	dir, err := m.open(ctx, app)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := m.command(ctx, dir, nil, "archive", "--format=tar", commit)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("archive %s: %w", commit, err)
	}
	return &archive{Reader: out, cmd: cmd, cancel: cancel}, nil
}

type archive struct {
	io.Reader
	cmd    *exec.Cmd
	cancel context.CancelFunc
	ended  bool
}

// Read reports a git that failed instead of a tree that is too short.
func (a *archive) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF && !a.ended {
		a.ended = true
		if wait := a.cmd.Wait(); wait != nil {
			return n, fmt.Errorf("git archive: %w", wait)
		}
	}
	return n, err
}

func (a *archive) Close() error {
	a.cancel()
	if !a.ended {
		a.ended = true
		_ = a.cmd.Wait() // killed by cancel: the reader had enough
	}
	return nil
}

// Remove deletes an app's mirror.
func (m *Mirrors) Remove(app string) error {
	if !appPattern.MatchString(app) {
		return fmt.Errorf("remove mirror: app id %q is not allowed", app)
	}
	return errors.Join(os.RemoveAll(filepath.Join(m.dir, app)), os.RemoveAll(filepath.Join(m.dir, app+".work")))
}

func (m *Mirrors) open(ctx context.Context, app string) (string, error) {
	if !appPattern.MatchString(app) {
		return "", fmt.Errorf("open mirror: app id %q is not allowed", app)
	}
	dir := filepath.Join(m.dir, app)
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make mirror: %w", err)
	}
	_, err := m.git(ctx, dir, nil, "init", "--quiet", "--bare")
	return dir, err
}

func (m *Mirrors) git(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := m.command(ctx, dir, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, tail(errs.String()))
	}
	return out.String(), nil
}

// command runs git without the machine's own configuration, hooks or prompts.
func (m *Mirrors) command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	protocols := "https:ssh"
	if m.insecure {
		protocols += ":http:git:file"
	}
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + dir,
		"GIT_ALLOW_PROTOCOL=" + protocols,
	}, env...)
	return cmd
}

// tail keeps the end of what git said: its reason stands last.
func tail(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 2000 {
		return "…" + text[len(text)-2000:]
	}
	return text
}
