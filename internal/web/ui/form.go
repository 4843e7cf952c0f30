package ui

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Form is what a person typed and what is wrong with it.
type Form struct {
	Values url.Values
	Err    *plane.Error // or nil
}

// Value is what was typed in the field, its lines ended as Unix does: browsers
// send others.
func (f Form) Value(name string) string {
	return strings.ReplaceAll(f.Values.Get(name), "\r\n", "\n")
}

// Lines are the lines of a field that are not empty.
func (f Form) Lines(name string) []string {
	var all []string
	for line := range strings.Lines(f.Value(name)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// Checked tells whether a checkbox was ticked.
func (f Form) Checked(name string) bool { return f.Values.Get(name) != "" }

// Sent tells whether anything was sent at all.
func (f Form) Sent() bool { return len(f.Values) > 0 }

// uploadSize is how many bytes a file may hold.
const uploadSize = 1 << 20

// upload puts what a chosen file holds into a field, as if it had been typed
// there; nothing happens where none was chosen.
func (v *visit) upload(file, into string) error {
	if v.r.MultipartForm == nil || len(v.r.MultipartForm.File[file]) == 0 || v.r.MultipartForm.File[file][0].Filename == "" {
		return nil
	}
	if v.form.Value(into) != "" {
		return plane.Invalid(file, "give a file or type, not both", "empty the one you do not want")
	}
	chosen := v.r.MultipartForm.File[file][0]
	if chosen.Size > uploadSize {
		return plane.Invalid(file, fmt.Sprintf("is larger than %d MiB", uploadSize>>20), "a .env file holds a line for each variable")
	}
	at, err := chosen.Open()
	if err != nil {
		return fmt.Errorf("open the uploaded file: %w", err)
	}
	defer at.Close()
	raw, err := io.ReadAll(at)
	if err != nil {
		return fmt.Errorf("read the uploaded file: %w", err)
	}
	if text := string(raw); isText(text) {
		v.form.Values.Set(into, strings.TrimPrefix(text, "\uFEFF"))
		return nil
	}
	return plane.Invalid(file, "holds bytes that are not text", "choose a .env file, in UTF-8")
}

// At is what is wrong with the field, or nil.
func (f Form) At(name string) *plane.Error {
	if f.Err == nil || f.Err.Field != name {
		return nil
	}
	return f.Err
}

// Field is one labelled input as the template "field" draws it.
type Field struct {
	ID                             string // differs from the name where a page has several forms alike
	Name, Label, Type, Value, Hint string
	Attributes                     map[string]string // autocomplete, placeholder, min, max, rows, pattern
	Required                       bool
	Options                        []Option // of a select
	Err                            *plane.Error
}

// Option is one choice of a select.
type Option struct {
	Value, Label string
	Chosen       bool
}

// field makes a Field out of the form; more are key=value pairs: value (shown
// until something was typed), hint, required, id, option (value:label, repeated) and
// HTML attributes of the allow-list.
func field(f Form, name, label, kind string, more ...string) (Field, error) {
	made := Field{ID: name, Name: name, Label: label, Type: kind, Err: f.At(name), Attributes: map[string]string{}}
	for _, m := range more {
		if err := made.set(m); err != nil {
			return Field{}, err
		}
	}
	if f.Sent() && kind != "password" {
		made.Value = f.Value(name)
	}
	for i, o := range made.Options {
		made.Options[i].Chosen = o.Value == made.Value
	}
	return made, nil
}

func (f *Field) set(pair string) error {
	key, value, _ := strings.Cut(pair, "=")
	switch key {
	case "value":
		f.Value = value
	case "id":
		f.ID = value
	case "hint":
		f.Hint = value
	case "required":
		f.Required = true
	case "option":
		v, label, both := strings.Cut(value, ":")
		if !both {
			label = v
		}
		f.Options = append(f.Options, Option{Value: v, Label: label})
	case "autocomplete", "placeholder", "min", "max", "rows", "minlength", "maxlength", "inputmode":
		f.Attributes[key] = value
	default:
		return errors.New("a field has no " + key)
	}
	return nil
}

// Attribute is one of them, for the template.
func (f Field) Attribute(name string) string { return f.Attributes[name] }

// Describes lists the ids of what explains the field, for screen readers.
func (f Field) Describes() string {
	var ids []string
	if f.Err != nil {
		ids = append(ids, f.ID+"-error")
	}
	if f.Hint != "" {
		ids = append(ids, f.ID+"-hint")
	}
	return strings.Join(ids, " ")
}

// passage is a form that takes an app from slot to slot; its ID is none of another form's on the page.
type passage struct {
	App control.AppView
	ID  string
}

// Confirm is a form that asks for a name to be typed before it does its work.
type Confirm struct {
	Action, Name, Button string
	Err                  *plane.Error
}

func confirm(f Form, action, name, button string) Confirm {
	return Confirm{Action: action, Name: name, Button: button, Err: f.At("confirm")}
}
