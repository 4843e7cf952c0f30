package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// Exec runs cmd on t and waits for its end. An exit status other than 0 is not an error. When ctx ends the channel is closed,
// the command is asked to end (SIGTERM; a command of root or under sudo does not receive it and lives on until it writes) and
// Exec returns at once with ctx's error; what was read by then is in the Result. At most 8 commands run at once on one server, others wait for their turn.
// Errors: [KindUnreachable], [KindHostKey], [KindAuth], [KindVantage] (sshd gives us no channel) before the command began;
// [KindLost] when it is not known whether it ran to its end.
func (p *Pool) Exec(ctx context.Context, t Target, cmd Command) (Result, error) {
	return p.exec(ctx, t, cmd, nil)
}

// Stream is Exec that also hands every line of standard output and standard error to line as it arrives, without its end; lines
// longer than 64 KiB arrive in pieces. line is never called twice at once, nor after Stream has returned.
func (p *Pool) Stream(ctx context.Context, t Target, cmd Command, line func(string)) (Result, error) {
	return p.exec(ctx, t, cmd, serial(line))
}

func (p *Pool) exec(ctx context.Context, t Target, cmd Command, follow func(string)) (Result, error) {
	begun := time.Now()
	l, session, err := p.session(ctx, t)
	if err != nil {
		return Result{}, err
	}
	r := &run{line: l, session: session, stdout: output{line: follow, pass: cmd.Pass}, stderr: output{line: follow}}
	result, err := r.do(ctx, cmd)
	result.Duration = time.Since(begun)
	return result, err
}

// session opens an exec channel, on a fresh connection when the held one turns out to be gone or full. Nothing has been asked
// of the server at that point, so trying again is safe.
func (p *Pool) session(ctx context.Context, t Target) (*line, *ssh.Session, error) {
	for try := 0; ; try++ {
		l, err := p.line(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		session, err := l.openPatiently(ctx)
		if err == nil {
			return l, session, nil
		}
		l.leave()
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("waiting for a channel on %s: %w", t.name(), ctx.Err())
		}
		l.retire()
		if try > 0 {
			return nil, nil, fail(KindVantage, t, "opening a channel", err)
		}
	}
}

// Pauses before a refused channel is asked for again on the same connection: each is three times the one before.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 180 * time.Millisecond
)

// openPatiently asks again where sshd refuses: a session that just ended counts until sshd's loop has come round, and both
// its end and the next wish may be read in one turn.
func (l *line) openPatiently(ctx context.Context) (*ssh.Session, error) {
	for pause := firstPause; ; pause *= 3 {
		session, err := l.open(ctx)
		if _, refused := errors.AsType[*ssh.OpenChannelError](err); !refused || pause > lastPause {
			return session, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open waits for one of the line's places and opens a session; a session that comes too late is closed.
func (l *line) open(ctx context.Context) (*ssh.Session, error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.dead:
		return nil, errEnded
	}
	type opened struct {
		session *ssh.Session
		err     error
	}
	answer := make(chan opened, 1)
	go func() {
		session, err := l.client.NewSession()
		answer <- opened{session, plainly(err)}
	}()
	select {
	case o := <-answer:
		if o.err != nil {
			<-l.slots
		}
		return o.session, o.err
	case <-l.dead: // x/crypto/ssh gives no answer at all when asked in the instant the connection ends
		<-l.slots
		return nil, errEnded
	case <-ctx.Done():
		go func() {
			if o := <-answer; o.err == nil {
				_ = o.session.Close()
			}
			<-l.slots
		}()
		return nil, ctx.Err()
	}
}

// run is one command under way.
type run struct {
	line           *line
	session        *ssh.Session
	stdout, stderr output
}

func (r *run) do(ctx context.Context, cmd Command) (Result, error) {
	r.session.Stdout, r.session.Stderr = &r.stdout, &r.stderr
	if cmd.Out != nil {
		r.session.Stdout = cmd.Out
	}
	end := make(chan error, 1)
	go func() {
		end <- r.drive(cmd)
		<-r.line.slots
		r.line.leave()
	}()
	select {
	case err := <-end:
		return r.result(err)
	case <-ctx.Done():
		go r.abandon()
		result, _ := r.result(nil)
		return result, fmt.Errorf("running a command on %s: %w", r.line.target.name(), ctx.Err())
	}
}

// drive feeds the command and waits for its end. Input is copied by us and not by the session, whose Wait would otherwise hang
// on a reader that never ends after the command has.
func (r *run) drive(cmd Command) error {
	defer r.session.Close()
	stdin, err := r.session.StdinPipe()
	if err != nil {
		return err
	}
	if err := r.session.Start(cmd.line(r.line.target.User)); err != nil {
		return err
	}
	go func() {
		if cmd.Stdin != nil {
			_, _ = io.Copy(stdin, cmd.Stdin) // a command may end without reading all of it
		}
		_ = stdin.Close()
	}()
	return r.session.Wait()
}

func (r *run) abandon() {
	_ = r.session.Signal(ssh.SIGTERM)
	_ = r.session.Close()
}

func (r *run) result(err error) (Result, error) {
	var result Result
	var cutOut, cutErr bool
	result.Stdout, cutOut = r.stdout.finish()
	result.Stderr, cutErr = r.stderr.finish()
	result.Truncated = cutOut || cutErr
	var exit *ssh.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		result.Exit = exit.ExitStatus()
	default:
		return result, fail(KindLost, r.line.target, "running a command", err)
	}
	return result, nil
}
