package plane_test

import (
	"slices"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestShared(t *testing.T) {
	spec := func(text string) plane.Spec {
		return plane.Spec{Options: map[string]string{plane.OptionShared: text}}.WithDefaults(plane.KindNodeJS)
	}
	if got := spec(" public/uploads, storage,,storage").Shared(); !slices.Equal(got, []string{"public/uploads", "storage"}) {
		t.Errorf("%q", got)
	}
	for text, ok := range map[string]bool{
		"": true, "storage": true, "a,b,c/d": true, "database.sqlite": true,
		"/etc": false, "../x": false, "a/../../b": false, "a,a/b": false, "a b": false, ".": false, "x/": false, ".git": false, ".git/hooks": false,
	} {
		if err := (plane.Kinds{}).Check(plane.App{Kind: plane.KindNodeJS, Spec: spec(text)}); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMounts(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "/data": true, "/data/,/x": false, "/app/uploads, /data": true, "/data,/data/up": false, "data": false, "/": false, "//data": false, "/data/../etc": false,
		"/etc": false, "/etc/ssl": false, "/proc/1": false, "/sys": false, "/dev/shm": false, "/etcetera": true, "/a b": false, "/a:b": false, "/a+b": false,
	} {
		err := (plane.Kinds{}).Check(plane.App{Kind: plane.KindDocker, Spec: plane.Spec{Options: map[string]string{plane.OptionShared: text}}})
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
