package client

import (
	"net/url"
	"strconv"
)

// Page narrows a list: up to Limit items that come after the one Before names.
// The zero value asks for the newest, as many as the panel likes.
type Page struct {
	Before string // Next of the page before
	Limit  int
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Before != "" {
		q.Set("before", p.Before)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	return q
}

// List is a list as it travels; Next, when not empty, is the cursor of the
// next page.
type List[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty"`
}
