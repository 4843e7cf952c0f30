// Package dotenv reads .env files, in the one dialect that env import describes.
package dotenv

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Parse returns the variables of a .env file by name. A name given twice is an
// error. Its
// errors name the line and never hold a value.
func Parse(text string) (map[string]string, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("is not UTF-8 text")
	}
	p := &parser{rest: strings.TrimPrefix(text, "\uFEFF"), line: 1, name: regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)}
	values, lines := map[string]string{}, map[string]int{}
	for p.skip() {
		line := p.line
		name, value, err := p.assignment()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		if first, twice := lines[name]; twice {
			return nil, fmt.Errorf("line %d: %s is already on line %d", line, name, first)
		}
		values[name], lines[name] = value, line
	}
	return values, nil
}

type parser struct {
	rest string
	line int
	name *regexp.Regexp
}

// take moves n bytes on and counts the lines in them.
func (p *parser) take(n int) string {
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	p.line += strings.Count(taken, "\n")
	return taken
}

// blanks passes blanks and tells how many.
func (p *parser) blanks() int { return len(p.take(len(p.rest) - len(strings.TrimLeft(p.rest, " \t")))) }

// skip passes empty lines and comments; false at the end.
func (p *parser) skip() bool {
	for p.rest != "" {
		p.take(len(p.rest) - len(strings.TrimLeft(p.rest, " \t\r\n")))
		if !strings.HasPrefix(p.rest, "#") {
			break
		}
		p.take(p.toLineEnd())
	}
	return p.rest != ""
}

func (p *parser) toLineEnd() int {
	if i := strings.IndexByte(p.rest, '\n'); i >= 0 {
		return i
	}
	return len(p.rest)
}

func (p *parser) assignment() (name, value string, err error) {
	name = p.take(len(p.name.FindString(p.rest)))
	if name == "export" && !strings.HasPrefix(strings.TrimLeft(p.rest, " \t"), "=") {
		p.blanks()
		name = p.take(len(p.name.FindString(p.rest)))
	}
	p.blanks()
	if name == "" || !strings.HasPrefix(p.rest, "=") {
		return "", "", errors.New("must be NAME=VALUE, the name of letters, digits and _")
	}
	p.take(1)
	value, err = p.value(p.blanks() > 0)
	return name, value, err
}

func (p *parser) value(afterBlank bool) (string, error) {
	var value string
	var err error
	switch {
	case strings.HasPrefix(p.rest, "'"):
		value, err = p.single()
	case strings.HasPrefix(p.rest, `"`):
		value, err = p.double()
	default:
		return p.bare(afterBlank), nil
	}
	if err != nil {
		return "", err
	}
	after := strings.TrimSpace(p.rest[:p.toLineEnd()])
	if after != "" && !strings.HasPrefix(after, "#") {
		return "", errors.New("something follows the closing quote")
	}
	p.take(p.toLineEnd())
	return value, nil
}

// bare ends before a # that follows a blank: one right after the = belongs to
// the value, or passwords would lose their beginning.
func (p *parser) bare(afterBlank bool) string {
	line := p.take(p.toLineEnd())
	for i := range line {
		if line[i] == '#' && afterBlank {
			line = line[:i]
			break
		}
		afterBlank = line[i] == ' ' || line[i] == '\t'
	}
	return strings.TrimRight(line, " \t\r")
}

func (p *parser) single() (string, error) {
	end := strings.IndexByte(p.rest[1:], '\'')
	if end < 0 {
		return "", errors.New("the quote ' is not closed")
	}
	quoted := p.take(end + 2)
	return quoted[1 : len(quoted)-1], nil
}

func (p *parser) double() (string, error) {
	var out strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.take(i + 1)
			return out.String(), nil
		case '\\':
			i++
			plain, err := p.escaped(i)
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

func (p *parser) escaped(i int) (byte, error) {
	if i < len(p.rest) {
		switch c := p.rest[i]; c {
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
	p.take(min(i, len(p.rest)))
	return 0, errors.New(`inside "double" quotes a backslash stands before n r t \ " or $; write \\ for the backslash itself, or use 'single' quotes`)
}
