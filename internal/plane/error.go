package plane

import (
	"errors"
	"fmt"
)

// Code says what kind of error a person met. An error without a code is
// internal: its text stays inside the panel.
type Code string

// The codes; every door maps them to its own answers in one place.
const (
	CodeInvalid      Code = "invalid"      // the request breaks a rule; Field says where
	CodeNotFound     Code = "not_found"    // no such thing, or not for this person
	CodeConflict     Code = "conflict"     // the state of things forbids it now
	CodeUnauthorized Code = "unauthorized" // who are you?
	CodeForbidden    Code = "forbidden"    // your role may not
	CodeRateLimited  Code = "rate_limited" // too often; Hint says when again
	CodeUnavailable  Code = "unavailable"  // something outside the panel does not answer
	CodeInternal     Code = "internal"     // our fault
)

// Error is an error meant for a person: what is wrong, where, and the way out.
type Error struct {
	Code    Code
	Message string // one sentence, lower case, no trailing full stop
	Field   string // the input's name as in the API, or empty
	Hint    string // what to do next, or empty
}

func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Invalid reports that a field breaks a rule.
func Invalid(field, message, hint string) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: message, Hint: hint}
}

// NotFound reports that no thing of this noun bears the name.
func NotFound(noun, name string) *Error {
	return &Error{Code: CodeNotFound, Message: fmt.Sprintf("no %s named %q", noun, name), Hint: "list them to see the names"}
}

// Conflict reports that the present state forbids the wish.
func Conflict(message, hint string) *Error {
	return &Error{Code: CodeConflict, Message: message, Hint: hint}
}

// Unavailable reports that something outside the panel does not answer.
func Unavailable(message, hint string) *Error {
	return &Error{Code: CodeUnavailable, Message: message, Hint: hint}
}

// CodeOf returns the code of err, CodeInternal for an error without one.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
