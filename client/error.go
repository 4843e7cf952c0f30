package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error is what the panel refused or failed to do.
type Error struct {
	Status    int    `json:"status"` // of HTTP
	Code      string `json:"code"`   // invalid, not_found, conflict, unauthorized, forbidden, rate_limited, unavailable or internal
	Message   string `json:"detail"`
	Field     string `json:"field"`
	Hint      string `json:"hint"`
	RequestID string `json:"request_id"`
}

func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	if e.RequestID != "" {
		text += " [" + e.RequestID + "]"
	}
	return text
}

// readError also copes with answers of something else than a panel, such as a
// proxy in front of it.
func readError(status int, body []byte) error {
	e := &Error{}
	if err := json.Unmarshal(body, e); err != nil || e.Code == "" {
		e = &Error{Code: "unavailable", Message: fmt.Sprintf("answered %d %s, not as a panel does", status, http.StatusText(status)),
			Hint: "is this the address of a panel?"}
	}
	e.Status, e.Message = status, strings.TrimSpace(e.Message)
	return e
}
