package ansible

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Play is one execution of one playbook on some servers, as plain data.
type Play struct {
	Run      string         // id of the Run this belongs to; letters, digits, '_' and '-'
	Playbook string         // file name inside the playbooks folder, e.g. "provision.yml"
	Hosts    []Host         // at least one, names unique
	Vars     map[string]any // same for every host; see Validate for what a value may be
	Files    []File         // placed 0600 in the folder the playbook knows as files_dir
}

// File is one file a playbook places on servers. Exactly one of Content and Open is used: Open wins.
type File struct {
	Name    string
	Content []byte
	Open    func() (io.ReadCloser, error)
}

var (
	runPattern      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	playbookPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}\.yml$`)
	fileNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$`)
	varNamePattern  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,60}$`)
)

// Validate refuses what could become more than data on its way through Ansible: a name outside its
// allow-list, or text Ansible would template ("{{", "{%", "{#"). Values are strings, booleans, whole
// numbers, and lists and maps of those; map keys and variable names are lower-case words.
func (p Play) Validate() error {
	if !runPattern.MatchString(p.Run) {
		return fmt.Errorf("play: run id %q is not allowed", p.Run)
	}
	if !playbookPattern.MatchString(p.Playbook) {
		return fmt.Errorf("play: playbook name %q is not allowed", p.Playbook)
	}
	if err := validateVars(p.Vars); err != nil {
		return fmt.Errorf("play: %w", err)
	}
	if err := validateHosts(p.Hosts); err != nil {
		return fmt.Errorf("play: %w", err)
	}
	return validateFiles(p.Files)
}

func validateHosts(hosts []Host) error {
	if len(hosts) == 0 {
		return fmt.Errorf("no hosts")
	}
	seen := make(map[string]bool, len(hosts))
	for _, h := range hosts {
		if seen[h.Name] {
			return fmt.Errorf("host %q is named twice", h.Name)
		}
		seen[h.Name] = true
		if err := h.validate(); err != nil {
			return err
		}
	}
	return nil
}

func validateFiles(files []File) error {
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		if !fileNamePattern.MatchString(f.Name) {
			return fmt.Errorf("play: file name %q is not allowed", f.Name)
		}
		if seen[f.Name] {
			return fmt.Errorf("play: file %q is given twice", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

func validateVars(vars map[string]any) error {
	for name, value := range vars {
		if err := validateName(name); err != nil {
			return err
		}
		if err := validateValue(value); err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
	}
	return nil
}

// validateName also keeps out ansible_*, which would steer Ansible itself, and the names Run sets.
func validateName(name string) error {
	switch {
	case !varNamePattern.MatchString(name), strings.HasPrefix(name, "ansible_"):
		return fmt.Errorf("variable name %q is not allowed", name)
	case name == varFilesDir || name == varRun:
		return fmt.Errorf("variable name %q is set by the runner", name)
	}
	return nil
}

func validateValue(value any) error {
	switch v := value.(type) {
	case bool, int, int64:
		return nil
	case string:
		return validateText(v)
	case []string:
		return validateEach(v)
	case []int:
		return nil
	case []any:
		return validateEach(v)
	case []map[string]any:
		return validateEach(v)
	case map[string]any:
		return validateVars(v)
	case map[string]string:
		for name, text := range v {
			if err := validateVars(map[string]any{name: text}); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("a value of type %T is not allowed", value)
}

func validateEach[T any](values []T) error {
	for _, v := range values {
		if err := validateValue(v); err != nil {
			return err
		}
	}
	return nil
}

// validateText does not repeat the text in its error: it may be a secret put in the wrong place.
func validateText(text string) error {
	for _, mark := range []string{"{{", "{%", "{#"} {
		if strings.Contains(text, mark) {
			return fmt.Errorf("text holding %q would be templated by ansible", mark)
		}
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("text holding a NUL byte is not allowed")
	}
	return nil
}
