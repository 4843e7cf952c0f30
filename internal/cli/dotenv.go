package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// parseDotenv reads a .env file in the dialect that env import describes. Its
// errors name the line and never hold a value.
func parseDotenv(text string) (map[string]string, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("is not UTF-8 text")
	}
	d := &dotenv{rest: strings.TrimPrefix(text, "\uFEFF"), line: 1, name: regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)}
	values, lines := map[string]string{}, map[string]int{}
	for d.skip() {
		line := d.line
		name, value, err := d.assignment()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", d.line, err)
		}
		if first, twice := lines[name]; twice {
			return nil, fmt.Errorf("line %d: %s is already on line %d", line, name, first)
		}
		values[name], lines[name] = value, line
	}
	return values, nil
}

type dotenv struct {
	rest string
	line int
	name *regexp.Regexp
}

// take moves n bytes on and counts the lines in them.
func (d *dotenv) take(n int) string {
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	d.line += strings.Count(taken, "\n")
	return taken
}

// blanks passes blanks and tells how many.
func (d *dotenv) blanks() int { return len(d.take(len(d.rest) - len(strings.TrimLeft(d.rest, " \t")))) }

// skip passes empty lines and comments; false at the end.
func (d *dotenv) skip() bool {
	for d.rest != "" {
		d.take(len(d.rest) - len(strings.TrimLeft(d.rest, " \t\r\n")))
		if !strings.HasPrefix(d.rest, "#") {
			break
		}
		d.take(d.toLineEnd())
	}
	return d.rest != ""
}

func (d *dotenv) toLineEnd() int {
	if i := strings.IndexByte(d.rest, '\n'); i >= 0 {
		return i
	}
	return len(d.rest)
}

func (d *dotenv) assignment() (name, value string, err error) {
	name = d.take(len(d.name.FindString(d.rest)))
	if name == "export" && !strings.HasPrefix(strings.TrimLeft(d.rest, " \t"), "=") {
		d.blanks()
		name = d.take(len(d.name.FindString(d.rest)))
	}
	d.blanks()
	if name == "" || !strings.HasPrefix(d.rest, "=") {
		return "", "", errors.New("must be NAME=VALUE, the name of letters, digits and _")
	}
	d.take(1)
	value, err = d.value(d.blanks() > 0)
	return name, value, err
}

func (d *dotenv) value(afterBlank bool) (string, error) {
	var value string
	var err error
	switch {
	case strings.HasPrefix(d.rest, "'"):
		value, err = d.single()
	case strings.HasPrefix(d.rest, `"`):
		value, err = d.double()
	default:
		return d.bare(afterBlank), nil
	}
	if err != nil {
		return "", err
	}
	after := strings.TrimSpace(d.rest[:d.toLineEnd()])
	if after != "" && !strings.HasPrefix(after, "#") {
		return "", errors.New("something follows the closing quote")
	}
	d.take(d.toLineEnd())
	return value, nil
}

// bare ends before a # that follows a blank: one right after the = belongs to
// the value, or passwords would lose their beginning.
func (d *dotenv) bare(afterBlank bool) string {
	line := d.take(d.toLineEnd())
	for i := range line {
		if line[i] == '#' && afterBlank {
			line = line[:i]
			break
		}
		afterBlank = line[i] == ' ' || line[i] == '\t'
	}
	return strings.TrimRight(line, " \t\r")
}

func (d *dotenv) single() (string, error) {
	end := strings.IndexByte(d.rest[1:], '\'')
	if end < 0 {
		return "", errors.New("the quote ' is not closed")
	}
	quoted := d.take(end + 2)
	return quoted[1 : len(quoted)-1], nil
}

func (d *dotenv) double() (string, error) {
	var out strings.Builder
	for i := 1; i < len(d.rest); i++ {
		switch c := d.rest[i]; c {
		case '"':
			d.take(i + 1)
			return out.String(), nil
		case '\\':
			i++
			plain, err := d.escaped(i)
			if err != nil {
				return "", err
			}
			out.WriteByte(plain)
		default:
			out.WriteByte(c)
		}
	}
	return "", errors.New(`the quote " is not closed`)
}

func (d *dotenv) escaped(i int) (byte, error) {
	if i < len(d.rest) {
		switch c := d.rest[i]; c {
		case 'n':
			return '\n', nil
		case 'r':
			return '\r', nil
		case 't':
			return '\t', nil
		case '\\', '"', '$':
			return c, nil
		}
	}
	d.take(min(i, len(d.rest)))
	return 0, errors.New(`inside "double" quotes a backslash stands before n r t \ " or $; write \\ for the backslash itself, or use 'single' quotes`)
}
