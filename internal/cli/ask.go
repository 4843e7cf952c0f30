package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const maxSecret = 64 << 10 // bytes of a key file or a line of standard input

// consent lets a person confirm by typing the name of what is at stake; --yes
// confirms for them, and without a terminal it is the only way.
func (sh *shell) consent(yes bool, what, name string) error {
	if yes {
		return nil
	}
	if !sh.IsTerminal {
		return &usageError{text: what + " needs your consent", hint: "add --yes"}
	}
	answer, err := sh.ask(fmt.Sprintf("This is about %s. Type %s to go on: ", what, name))
	if err != nil {
		return err
	}
	if answer != name {
		return fmt.Errorf("nothing was done: %w", errCancelled)
	}
	return nil
}

// ask reads one line from the person at the terminal.
func (sh *shell) ask(question string) (string, error) {
	fmt.Fprint(sh.Err, clean(question))
	return sh.line("the answer")
}

// line reads one line of standard input, without its end.
func (sh *shell) line(what string) (string, error) {
	text, err := readLine(sh.lines)
	if err != nil {
		return "", fmt.Errorf("read %s from standard input: %w", what, err)
	}
	return text, nil
}

func readLine(r io.ByteReader) (string, error) {
	var out []byte
	for {
		b, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && len(out) == 0:
			return "", errors.New("it ended")
		case errors.Is(err, io.EOF) || b == '\n' && err == nil:
			return strings.TrimSuffix(string(out), "\r"), nil
		case err != nil:
			return "", err
		case len(out) >= maxSecret:
			return "", errors.New("the line is too long")
		}
		out = append(out, b)
	}
}

// secretFile reads a key; its text never appears in an error.
func secretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read --key: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read --key: %w", err)
	}
	if len(raw) > maxSecret {
		return "", fmt.Errorf("read --key: %s is too large for a key", path)
	}
	return string(raw), nil
}
