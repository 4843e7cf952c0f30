// Package reply is the only writer of errors of the web doors: it turns an
// error into a problem document (RFC 9457), keeps the text of internal errors
// inside the panel, and logs those.
package reply

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/serverplane/serverplane/internal/plane"
)

// ContentType is what a problem document is sent as.
const ContentType = "application/problem+json"

// Problem is an error as a client sees it.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Field     string `json:"field,omitempty"`
	Hint      string `json:"hint,omitempty"`
	RequestID string `json:"request_id,omitempty"` // of internal errors, to find them in the panel's log
}

// Error is the detail, so that a Problem can travel as an error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status, in the form the API library asks for.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType turns JSON into problem JSON, in the form the API library asks for.
func (p *Problem) ContentType(string) string { return ContentType }

// Of turns an error into a Problem. An error without a code is logged with the
// request's id, and its text stays here.
func Of(ctx context.Context, log *slog.Logger, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*plane.Error](err); ok && e.Code != plane.CodeInternal {
		return problem(StatusOf(e.Code), e)
	}
	if errors.Is(err, context.Canceled) {
		return problem(http.StatusServiceUnavailable, plane.Unavailable("the panel is stopping", "try again in a moment"))
	}
	id := RequestID(ctx)
	log.ErrorContext(ctx, "request failed", "request_id", id, "error", err)
	p := problem(http.StatusInternalServerError, &plane.Error{
		Code: plane.CodeInternal, Message: "the panel failed to do this", Hint: "the panel's log says why, under this request id",
	})
	p.RequestID = id
	return p
}

// Malformed is a Problem of a request that could not even be read: the status
// is the caller's, the code is invalid.
func Malformed(status int, field, message, hint string) *Problem {
	return problem(status, plane.Invalid(field, message, hint))
}

func problem(status int, e *plane.Error) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: e.Message, Code: string(e.Code), Field: e.Field, Hint: e.Hint,
	}
}

// StatusOf maps a code to its HTTP status; 500 for one it does not know.
func StatusOf(code plane.Code) int {
	switch code {
	case plane.CodeInvalid:
		return http.StatusUnprocessableEntity
	case plane.CodeNotFound:
		return http.StatusNotFound
	case plane.CodeConflict:
		return http.StatusConflict
	case plane.CodeUnauthorized:
		return http.StatusUnauthorized
	case plane.CodeForbidden:
		return http.StatusForbidden
	case plane.CodeRateLimited:
		return http.StatusTooManyRequests
	case plane.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Write sends the problem.
func Write(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", ContentType)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that has gone is not our error
}

type requestIDKey struct{}

// WithRequestID hands the request's id down.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id of the request, or empty outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
