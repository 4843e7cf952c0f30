package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverplane/serverplane/internal/web/reply"
)

const descriptionHint = "the fields and their types are in " + Prefix + "/openapi.json"

// toProblem gives the library's own errors (wrong type, missing or unknown
// field, unreadable body) the form every other error has. The value that was
// sent is left out: it may be a secret.
func (a *API) toProblem(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	if len(e.Errors) == 0 {
		return reply.Malformed(e.Status, "body", e.Detail, bodyHint(e.Status)), nil
	}
	slices.SortFunc(e.Errors, func(x, y *huma.ErrorDetail) int {
		return cmp.Or(cmp.Compare(x.Location, y.Location), cmp.Compare(x.Message, y.Message))
	})
	field, message := where(e.Errors[0])
	if more := len(e.Errors) - 1; more > 0 {
		message += fmt.Sprintf(" (and %d more wrong)", more)
	}
	return reply.Malformed(e.Status, field, message, descriptionHint), nil
}

func bodyHint(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "send less at once"
	}
	return descriptionHint
}

// where finds the field's name as a person wrote it.
func where(d *huma.ErrorDetail) (field, message string) {
	_, field, found := strings.Cut(d.Location, ".")
	if !found {
		field = d.Location
	}
	var missing string
	if n, _ := fmt.Sscanf(d.Message, "expected required property %s to be present", &missing); n == 1 {
		if found {
			return field + "." + missing, "is missing"
		}
		return missing, "is missing"
	}
	switch {
	case d.Message == "unexpected property" || d.Message == "unknown query parameter":
		return field, "is not known"
	case field == "body":
		return field, "cannot be read: " + d.Message
	}
	return field, d.Message
}
