package nginx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/nginx"
)

func goodWeb() nginx.Web {
	return nginx.Web{
		App: "web", Slot: "a", Listen: addr("127.0.0.1:20001"), Root: "/home/sp_web/releases/x/public", Scratch: "/run/sp-web-a", PHP: true,
		Shared: "/home/sp_web/shared",
	}
}

func TestWebRefuses(t *testing.T) {
	if _, err := nginx.RenderWeb(goodWeb()); err != nil {
		t.Fatal(err)
	}
	hostile := []string{"", "relative", "/a b", "/a;", "/a}", "/a\n", "/../etc", "/a/../b", "/a/./b", "/a$x", "/a#", "/a\"", "/a/", strings.Repeat("/a", 200)}
	for field, spoil := range map[string]func(*nginx.Web, string){
		"root":    func(w *nginx.Web, s string) { w.Root = s },
		"scratch": func(w *nginx.Web, s string) { w.Scratch = s },
		"shared":  func(w *nginx.Web, s string) { w.Shared = s },
	} {
		for _, s := range hostile {
			w := goodWeb()
			spoil(&w, s)
			_, err := nginx.RenderWeb(w)
			var refused *nginx.Refusal
			if !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("%s %q: %v", field, s, err)
			}
		}
	}
	for field, spoil := range map[string]func(*nginx.Web){
		"app": func(w *nginx.Web) { w.App = "Web;" }, "slot": func(w *nginx.Web) { w.Slot = "c" },
		"listen": func(w *nginx.Web) { w.Listen = addr("10.0.0.1:20001") },
	} {
		w := goodWeb()
		spoil(&w)
		_, err := nginx.RenderWeb(w)
		var refused *nginx.Refusal
		if !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
