package api

import "github.com/serverplane/serverplane/client"

// PageQuery takes what every paged list takes.
type PageQuery struct {
	Before string `query:"before" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// list puts items into the form lists travel in.
func list[V, W any](views []V, wire func(V) W) client.List[W] {
	return client.List[W]{Items: each(views, wire)}
}

// paged adds the cursor of the next page when this one is full.
func paged[V, W any](views []V, limit int, wire func(V) W, id func(V) string) client.List[W] {
	out := list(views, wire)
	if len(views) >= max(limit, 1) {
		out.Next = id(views[len(views)-1])
	}
	return out
}

// each never returns nil: a list travels as [], not null.
func each[V, W any](in []V, wire func(V) W) []W {
	out := make([]W, 0, len(in))
	for _, v := range in {
		out = append(out, wire(v))
	}
	return out
}

func some(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}
