package ui

import "net/url"

// listShown is how many lines one page of a list by name has.
const listShown = 50

// listed is where a list by name goes on.
type listed struct {
	First string // address of its first page; empty on that page
	Next  string // address of the next one, or empty
}

// cutList takes one page off a list that begins behind after; it has one line
// more than a page where there are more.
func cutList[T any](all []T, address, after string, name func(T) string) ([]T, listed) {
	var l listed
	if after != "" {
		l.First = address
	}
	if len(all) > listShown {
		all = all[:listShown]
		l.Next = address + "?after=" + url.QueryEscape(name(all[listShown-1]))
	}
	return all, l
}
