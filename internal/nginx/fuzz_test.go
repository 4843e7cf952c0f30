package nginx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/nginx"
)

// FuzzNames holds that a name which is accepted is one word and never a directive: with any
// accepted names the output has the directives it has with plain ones.
func FuzzNames(f *testing.F) {
	for _, seed := range [][3]string{
		{"web", "app_0000000000000009", "example.com"}, {"web-api", "app_0000000000000009", "*.example.com"},
		{"web;", "app_x", "a;b"}, {"a\n", "app_0000000000000009\n", "a\nreturn 200;"}, {"a#", "", "$host"},
		{"a{", "app_0000000000000009", "~^(.*)$"}, {"a", "app_0000000000000009", "x.\"y\""}, {"a", "app_0000000000000009", `x\`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	tree := func(app, id, name string) nginx.Tree {
		t := fleet(1, nginx.RoundRobin, name)
		t.Sites[0].App, t.Sites[0].ID = app, id
		return t
	}
	plain, err := nginx.Render(tree("web", "app_0000000000000009", "example.com"))
	if err != nil {
		f.Fatal(err)
	}
	want := directives(f, plain)
	f.Fuzz(func(t *testing.T, app, id, name string) {
		r, err := nginx.Render(tree(app, id, name))
		if err != nil {
			return
		}
		got := directives(t, r)
		// A long name is allowed to bring the larger hash bucket.
		got = slices.DeleteFunc(got, func(d string) bool { return d == "server_names_hash_bucket_size/1" })
		if !slices.Equal(want, got) {
			t.Errorf("app %q, id %q, name %q change the directives:\n%v\n%v", app, id, name, want, got)
		}
		for _, file := range r.Files {
			if strings.Contains(file.Path, "..") || strings.Count(file.Path, "/") != 1 {
				t.Errorf("path %q leaves its folder", file.Path)
			}
		}
	})
}

// directives lists each directive's name and number of words, in order of the files' kinds.
func directives(t testing.TB, r nginx.Rendered) []string {
	var list []string
	for _, file := range r.Files {
		words := 0
		name := ""
		for _, token := range tokens(t, file.Text) {
			switch token {
			case ";", "{":
				list = append(list, name+"/"+string(rune('0'+words-1)))
				words = 0
			case "}":
				list = append(list, "}")
			default:
				if words == 0 {
					name = token
				}
				words++
			}
		}
	}
	return list
}

// tokens splits text by Nginx's rules: words, quoted words, and the signs ; { }. A brace inside
// a word, as in ${name}, belongs to it.
func tokens(t testing.TB, text string) []string {
	var list []string
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '#':
			i += strings.IndexByte(text[i:], '\n')
		case strings.IndexByte(";{}", c) >= 0:
			list = append(list, string(c))
			i++
		default:
			word := word(t, text[i:])
			list = append(list, word)
			i += len(word)
		}
	}
	return list
}

func word(t testing.TB, text string) string {
	if q := text[0]; q == '"' || q == '\'' {
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case q:
				return text[:i+1]
			}
		}
		t.Fatalf("a quote is never closed: %.60q", text)
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '$' && strings.HasPrefix(text[i:], "${"):
			i++
		case strings.IndexByte(" \t\r\n;{", text[i]) >= 0:
			return text[:i]
		}
	}
	t.Fatalf("a directive is never ended: %.60q", text)
	return ""
}
