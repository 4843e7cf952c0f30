package files

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Var is one environment variable.
type Var struct{ Name, Value string }

// Limits of variables. The kernel refuses to start a process for which name, "=" and value are
// over 128 KiB, or for which all of them and the arguments are over about 2 MiB.
const (
	MaxName     = 128       // bytes
	MaxValue    = 100 << 10 // bytes
	MaxVars     = 1 << 20   // bytes of all names and values together
	needsEscape = "\"\\`$"
)

// Env gives the text of a systemd EnvironmentFile with which a process sees each value byte for
// byte. The variables are ordered by name, so that equal sets are equal files on all backends.
//
// Names are [A-Za-z_][A-Za-z0-9_]*, each once. Values are UTF-8 without NUL and without the code
// points Unicode reserves as noncharacters: systemd drops the whole file for one of those.
func Env(vars []Var) ([]byte, error) {
	ordered := slices.SortedFunc(slices.Values(vars), byName)
	if err := checkVars(ordered); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, v := range ordered {
		out.WriteString(v.Name + `="`)
		for i := range len(v.Value) {
			if strings.IndexByte(needsEscape, v.Value[i]) >= 0 {
				out.WriteByte('\\')
			}
			out.WriteByte(v.Value[i])
		}
		out.WriteString("\"\n")
	}
	return out.Bytes(), nil
}

func checkVars(ordered []Var) error {
	total := 0
	for i, v := range ordered {
		if err := v.check(); err != nil {
			return err
		}
		if i > 0 && ordered[i-1].Name == v.Name {
			return refuse("variables["+v.Name+"]", "must be given once")
		}
		total += len(v.Name) + len(v.Value) + 2
	}
	if total > MaxVars {
		return refuse("variables", "must be at most 1 MiB together")
	}
	return nil
}

func (v Var) check() error {
	if len(v.Name) > MaxName || !matches(`[A-Za-z_][A-Za-z0-9_]*`, v.Name) {
		return refuse(fmt.Sprintf("variables[%.40q]", v.Name), "the name must be at most 128 letters, digits and _, and not start with a digit")
	}
	field := "variables[" + v.Name + "]"
	if len(v.Value) > MaxValue {
		return refuse(field, "the value must be at most 100 KiB")
	}
	if !utf8.ValidString(v.Value) || strings.ContainsFunc(v.Value, unfit) {
		return refuse(field, "the value must be UTF-8 text without NUL or Unicode noncharacters")
	}
	return nil
}

// unfit tells NUL and the noncharacters U+FDD0 to U+FDEF and U+xxFFFE, U+xxFFFF.
func unfit(r rune) bool {
	return r == 0 || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE
}

// DecodeEnv reads an EnvironmentFile by systemd's rules, as far as Env uses them: on each line a
// name, "=", and a value in double quotes, in which a backslash before one of \ " ` $ stands for
// that character, before a line end for nothing, and before anything else for itself. The
// variables come in the order of the file.
func DecodeEnv(text []byte) ([]Var, error) {
	vars := []Var{}
	for rest := string(text); rest != ""; {
		name, after, found := strings.Cut(rest, `="`)
		if !found {
			return nil, fmt.Errorf("reading variable %d: no quoted value", len(vars)+1)
		}
		value, tail, err := unquote(after)
		if err != nil {
			return nil, fmt.Errorf("reading variable %d: %w", len(vars)+1, err)
		}
		vars, rest = append(vars, Var{name, value}), tail
	}
	return vars, checkVars(slices.SortedFunc(slices.Values(vars), byName))
}

// unquote reads up to the closing quote and the line end after it.
func unquote(s string) (value, rest string, err error) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			if !strings.HasPrefix(s[i+1:], "\n") {
				return "", "", fmt.Errorf("text after the closing quote")
			}
			return out.String(), s[i+2:], nil
		case s[i] != '\\' || i+1 == len(s):
			out.WriteByte(s[i])
		default:
			i++
			out.WriteString(unescape(s[i]))
		}
	}
	return "", "", fmt.Errorf("the closing quote is missing")
}

func unescape(c byte) string {
	switch {
	case c == '\n':
		return ""
	case strings.IndexByte(needsEscape, c) >= 0:
		return string(rune(c))
	}
	return "\\" + string([]byte{c})
}

func byName(a, b Var) int { return cmp.Compare(a.Name, b.Name) }
