package nginx_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/nginx"
)

var update = flag.Bool("update", false, "write what is rendered into the golden files")

// TestGolden renders the tree.json of each testdata/*.txtar and compares with the files beside
// it. To add a case, write a file with a tree.json and run `go test ./internal/nginx -update`.
func TestGolden(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	if len(paths) == 0 {
		t.Fatal("no golden files")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	about, want := unpack(string(text))
	var tree nginx.Tree
	if err := json.Unmarshal([]byte(want["tree.json"]), &tree); err != nil {
		t.Fatal(err)
	}
	r := install(t, tree)
	verify(t)
	got := map[string]string{"tree.json": want["tree.json"]}
	packed := about + "-- tree.json --\n" + want["tree.json"]
	for _, f := range r.Files {
		got[f.Path] = f.Text
		packed += "-- " + f.Path + " --\n" + f.Text
	}
	if *update {
		if err := os.WriteFile(path, []byte(packed), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rendering changed (-want +got); if that is meant, run with -update:\n%s", diff)
	}
}

// unpack reads the txtar form: a comment, then files, each after a line "-- name --".
func unpack(text string) (about string, files map[string]string) {
	heads := regexp.MustCompile(`(?m)^-- (.+) --\n`).FindAllStringSubmatchIndex(text, -1)
	files = map[string]string{}
	about = text
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		if i == 0 {
			about = text[:h[0]]
		}
		files[strings.TrimSpace(text[h[2]:h[3]])] = text[h[1]:end]
	}
	return about, files
}
