// Package lab runs the real panel on real servers: it builds the binary, starts
// and kills the panel, speaks to it through its own command line, and makes
// repositories to deploy from. The demo and the end-to-end stories share it.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Panel is one data folder and the panel process on it, when it runs.
type Panel struct {
	Binary string // the serverplane program
	Dir    string // data folder
	URL    string
	Token  string
	Log    string // file of the panel's own log

	listen string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Build compiles the serverplane program of the module that holds the working
// directory into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "serverplane")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/serverplane")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build serverplane: %w\n%s", err, out)
	}
	return binary, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// NewPanel prepares a panel on an empty data folder below dir, listening on a
// free loopback port; Start runs it.
func NewPanel(binary, dir string) (*Panel, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return &Panel{
		Binary: binary, Dir: filepath.Join(dir, "data"), URL: "http://" + listen,
		Log: filepath.Join(dir, "panel.log"), listen: listen,
	}, nil
}

// freeAddress has a port that the kernel gives to nobody who asks for any, so that it is still free when the panel comes,
// and when it comes again.
func freeAddress() (string, error) {
	var tried error
	for range 100 {
		listen := fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000))
		l, err := net.Listen("tcp", listen)
		if err == nil {
			return listen, l.Close()
		}
		tried = err
	}
	return "", fmt.Errorf("find a free port: %w", tried)
}

// Start runs the panel and waits until it answers. The first start makes an
// owner and a token for the command line.
func (p *Panel) Start(ctx context.Context) error {
	if err := p.Launch(ctx); err != nil || p.Token != "" {
		return err
	}
	return p.introduce(ctx)
}

// Launch is Start on a panel whose first owner comes by the dashboard.
func (p *Panel) Launch(ctx context.Context) error {
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the panel's log: %w", err)
	}
	defer out.Close()
	p.cmd = exec.Command(p.Binary, "serve", "--data", p.Dir, "--listen", p.listen, "--allow-insecure-repositories")
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // a test that times out leaves no panel
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start the panel: %w", err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is read from its log
		close(ended)
	}(p.cmd, p.ended)
	return p.answers(ctx)
}

// SetupToken is the token that the panel printed for its first owner.
func (p *Panel) SetupToken() (string, error) {
	said, err := os.ReadFile(p.Log)
	if err != nil {
		return "", fmt.Errorf("read what the panel printed: %w", err)
	}
	_, after, found := strings.Cut(string(said), "setup token:")
	if fields := strings.Fields(after); found && len(fields) > 0 {
		return fields[0], nil
	}
	return "", fmt.Errorf("the panel printed no setup token:\n%s", said)
}

// answers waits for the panel's sign of life.
func (p *Panel) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			log, _ := os.ReadFile(p.Log)
			return fmt.Errorf("the panel ended at its start:\n%s", log)
		case <-ctx.Done():
			return fmt.Errorf("the panel does not answer: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Owner is the person the lab acts as.
const Owner = "owner@example.com"

// Password is the owner's.
const Password = "a password for the lab"

func (p *Panel) introduce(ctx context.Context) error {
	create := p.command(ctx, "admin", "create-user", "--data", p.Dir, "--email", Owner, "--role", "owner", "--password-stdin")
	create.Stdin = strings.NewReader(Password + "\n")
	if out, err := create.CombinedOutput(); err != nil {
		return fmt.Errorf("create the owner: %w\n%s", err, out)
	}
	return p.Befriend(ctx)
}

// Befriend makes a token of the owner's for the command line.
func (p *Panel) Befriend(ctx context.Context) error {
	token, err := p.command(ctx, "admin", "create-token", "--data", p.Dir, "--email", Owner, "--name", "lab").Output()
	if err != nil {
		return fmt.Errorf("create a token: %w", err)
	}
	p.Token = strings.TrimSpace(string(token))
	return nil
}

// Kill ends the panel as a power cut would.
func (p *Panel) Kill() error { return p.end(syscall.SIGKILL) }

// Stop asks the panel to end and waits for it.
func (p *Panel) Stop() error { return p.end(syscall.SIGTERM) }

func (p *Panel) end(sig syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the panel: %w", err)
	}
	<-p.ended
	p.cmd = nil
	return nil
}

// Pid is the process id of the running panel.
func (p *Panel) Pid() int { return p.cmd.Process.Pid }

func (p *Panel) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Binary, args...)
	cmd.Env = append(os.Environ(), "SERVERPLANE_URL="+p.URL, "SERVERPLANE_TOKEN="+p.Token)
	return cmd
}

// Failure is a command of the panel's that did not end with 0.
type Failure struct {
	Args   []string
	Exit   int
	Stdout string
	Stderr string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("serverplane %s: exit %d\n%s%s", strings.Join(f.Args, " "), f.Exit, f.Stdout, f.Stderr)
}

// CLI runs one command of the command line and returns its standard output.
// The error is a *Failure when the command ended with another status than 0.
func (p *Panel) CLI(ctx context.Context, args ...string) (string, error) {
	return p.CLIWith(ctx, "", args...)
}

// CLIWith is CLI with something on standard input.
func (p *Panel) CLIWith(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := p.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return out.String(), &Failure{Args: args, Exit: exit.ExitCode(), Stdout: out.String(), Stderr: errs.String()}
	}
	return out.String(), err
}

// Read runs a command with -o json and decodes what it prints.
func (p *Panel) Read(ctx context.Context, into any, args ...string) error {
	out, err := p.CLI(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("read what serverplane %s printed: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// AddServer adds a server the way a person at a terminal would who trusts the
// first host key.
func (p *Panel) AddServer(ctx context.Context, name, address, keyFile string, more ...string) error {
	args := append([]string{"server", "add", name, "--address", address, "--key", keyFile, "--accept-host-key", "--wait"}, more...)
	_, err := p.CLI(ctx, args...)
	return err
}
