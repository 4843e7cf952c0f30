// Package cli is the command line: one file per noun. Results go to standard
// output, progress and questions to standard error; questions are asked only on
// a terminal. Whatever a command returns becomes an exit code in one place.
package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/internal/config"
)

// Streams are what a command reads and writes.
type Streams struct {
	In         io.Reader
	Out, Err   io.Writer
	IsTerminal bool // a person is there to answer questions
}

// App is the panel itself, for the commands that run on its machine.
type App interface {
	// Serve runs the panel until ctx ends.
	Serve(ctx context.Context, c config.Config) error
	// Admin opens the panel's store; it works while the panel runs.
	Admin(ctx context.Context, c config.Config) (Admin, error)
}

// Admin does what needs no sign-in.
type Admin interface {
	CreateUser(ctx context.Context, email, role, password string) error
	CreateToken(ctx context.Context, email, name string) (token string, err error)
	Close() error
}

// Main runs the command the process was started with and returns its exit
// code. The first Ctrl-C lets a command end in order, the second ends it.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	terminal := isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd())
	s := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, IsTerminal: terminal}
	return Execute(ctx, os.Args[1:], s, panel{out: os.Stdout, err: os.Stderr})
}

// Execute runs one command and returns its exit code.
func Execute(ctx context.Context, args []string, s Streams, app App) int {
	root := New(s, app)
	root.SetArgs(args)
	return exitCode(s.Err, root.ExecuteContext(ctx))
}

// shell is what the commands share.
type shell struct {
	Streams
	lines *bufio.Reader // of In
	app   App
}

// New returns the tree of commands. Errors of a command come back from its
// Execute; what is wrong with its words or flags comes back as a usage error.
func New(s Streams, app App) *cobra.Command {
	sh := &shell{Streams: s, lines: bufio.NewReader(s.In), app: app}
	root := group("serverplane", "A control panel for your own servers",
		sh.serve(), sh.admin(), sh.login(), sh.server(), sh.application(), sh.env(), sh.deploy(), sh.deployment(),
		sh.balancer(), sh.backend(), sh.process(), sh.cron(), sh.database(), sh.run(), sh.audit(), sh.user(), sh.token(), sh.version(),
	)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.InitDefaultCompletionCmd()
	markUsage(root)
	return root
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		wrong := &usageError{text: cmd.CommandPath() + " needs a command", hint: "see " + cmd.CommandPath() + " --help"}
		if len(args) > 0 {
			wrong.text = fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
		}
		return wrong
	}
	g.AddCommand(commands...)
	return g
}
