package remote

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// FirstContact is a way into a server that is used once, to let the panel in.
type FirstContact struct {
	Target
	Password     string // for the sign-in, and for sudo where SudoPassword is empty
	Key          []byte // private key in PEM form
	Passphrase   string // of Key
	SudoPassword string
}

//go:embed install.sh
var installScript string

// began is what the script says first: what fails before it is sudo, not the script.
const began = "serverplane: begin"

// Install signs in as c says and makes the user serverplane: home /home/serverplane, shell /bin/bash, panelKey (one
// authorized_keys line) let in, sudo without a password. It proves that sudo works for that user before it returns nil, and is
// safe to repeat. Where sudo is not installed it is, from the server's own package sources.
// Errors: [KindUnreachable], [KindHostKey], [KindLost]; [KindAuth] when the key or password is refused, [KindSudo] when
// sudo refuses the user. No secret is part of an error or of a command line.
func Install(ctx context.Context, c FirstContact, panelKey string) error {
	key, err := authorizedLine(panelKey)
	if err != nil {
		return err
	}
	ways, err := c.ways()
	if err != nil {
		return err
	}
	client, raw, err := connect(ctx, c.Target, ways...)
	if err != nil {
		return err
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	session, err := client.NewSession()
	if err != nil {
		return fail(KindVantage, c.Target, "opening a channel", err)
	}
	defer session.Close()
	return c.install(session, key)
}

func (c FirstContact) install(session *ssh.Session, key string) error {
	var stdout, stderr output
	session.Stdout, session.Stderr = &stdout, &stderr
	if password := c.sudoPassword(); c.User != "root" && password != "" {
		session.Stdin = strings.NewReader(password + "\n")
	}
	err := session.Run(c.command(key))
	said, _ := stdout.finish()
	complaint, _ := stderr.finish()
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fail(KindLost, c.Target, "installing the panel's key", err)
	case !bytes.Contains(said, []byte(began)):
		return fail(KindSudo, c.Target, "becoming root with sudo as "+c.User, saidOr(complaint, err))
	}
	return fail("", c.Target, "installing the panel's key", saidOr(complaint, err))
}

// saidOr prefers the server's words to the bare exit status.
func saidOr(complaint []byte, err error) error {
	if text := strings.TrimSpace(string(complaint)); text != "" {
		return fmt.Errorf("%s (%w)", text, err)
	}
	return err
}

func (c FirstContact) sudoPassword() string {
	if c.SudoPassword != "" {
		return c.SudoPassword
	}
	return c.Password
}

// command is the script as root.
func (c FirstContact) command(key string) string {
	return c.asRoot([]string{"/bin/sh", "-c", installScript, "sh", key})
}

// asRoot is a program as root. A password goes to sudo's standard input and nowhere else.
func (c FirstContact) asRoot(args []string) string {
	switch {
	case c.User == "root":
	case c.sudoPassword() == "":
		args = append([]string{"sudo", "-n", "--"}, args...)
	default:
		args = append([]string{"sudo", "-S", "-p", "", "--"}, args...)
	}
	return Command{Args: args}.line(c.User)
}

// ways are the sign-ins to try: the key first, then the password in both forms servers ask for it.
func (c FirstContact) ways() ([]ssh.AuthMethod, error) {
	var ways []ssh.AuthMethod
	if len(c.Key) > 0 {
		signer, err := c.signer()
		if err != nil {
			return nil, err
		}
		ways = append(ways, ssh.PublicKeys(signer))
	}
	if c.Password != "" {
		ways = append(ways, ssh.Password(c.Password), ssh.KeyboardInteractive(c.answer))
	}
	if len(ways) == 0 {
		return nil, fail(KindAuth, c.Target, "signing in as "+c.User, errors.New("neither a key nor a password was given"))
	}
	return ways, nil
}

func (c FirstContact) signer() (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(c.Key)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && c.Passphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(c.Key, []byte(c.Passphrase))
	}
	if err != nil {
		return nil, fail(KindAuth, c.Target, "reading the given key", err)
	}
	return signer, nil
}

// answer gives the password to one hidden question; anything else (a second factor) is not ours to answer.
func (c FirstContact) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i := range questions {
		if echos[i] || len(questions) > 1 {
			return nil, errors.New("the server asks for more than a password")
		}
		answers[i] = c.Password
	}
	return answers, nil
}

// authorizedLine is the panel's key as exactly one line without options.
func authorizedLine(panelKey string) (string, error) {
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(panelKey))
	if err != nil {
		return "", fmt.Errorf("reading the panel's key: %w", err)
	}
	if len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return "", errors.New("reading the panel's key: want one key without options")
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	if comment == "" {
		comment = "serverplane"
	}
	return line + " " + comment, nil
}
