package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Visit signs in once as c says and runs a program as root, to look at a server before the panel is let in. Errors are those
// of [Install]; an exit status other than 0 is not an error.
func Visit(ctx context.Context, c FirstContact, args []string) (Result, error) {
	ways, err := c.ways()
	if err != nil {
		return Result{}, err
	}
	client, raw, err := connect(ctx, c.Target, ways...)
	if err != nil {
		return Result{}, err
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	session, err := client.NewSession()
	if err != nil {
		return Result{}, fail(KindVantage, c.Target, "opening a channel", err)
	}
	defer session.Close()
	return c.visit(session, args)
}

func (c FirstContact) visit(session *ssh.Session, args []string) (Result, error) {
	var stdout, stderr output
	session.Stdout, session.Stderr = &stdout, &stderr
	if password := c.sudoPassword(); c.User != "root" && password != "" {
		session.Stdin = strings.NewReader(password + "\n")
	}
	marked := append([]string{"/bin/sh", "-c", "echo '" + began + `'; exec "$@"`, "sh"}, args...)
	err := session.Run(c.asRoot(marked))
	said, _ := stdout.finish()
	complaint, _ := stderr.finish()
	var exit *ssh.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return Result{}, fail(KindLost, c.Target, "looking at the server", err)
	case !bytes.HasPrefix(said, []byte(began)):
		return Result{}, fail(KindSudo, c.Target, "becoming root with sudo as "+c.User, saidOr(complaint, fmt.Errorf("no answer: %w", err)))
	}
	result := Result{Stdout: bytes.TrimPrefix(said, []byte(began+"\n")), Stderr: complaint}
	if exit != nil {
		result.Exit = exit.ExitStatus()
	}
	return result, nil
}
