package plane_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// tree writes files below a folder; a text of "-> x" is a link to x.
func tree(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if to, link := strings.CutPrefix(text, "-> "); link && err == nil {
			err = os.Symlink(to, at)
		} else if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// laid runs a kind's own shell lines in a folder, as a build does.
func laid(t *testing.T, dir string, lines []string) (string, error) {
	t.Helper()
	for _, line := range lines {
		cmd := exec.Command("/bin/sh", "-ec", line)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	return "", nil
}

func wordPress(t *testing.T) plane.Definition {
	t.Helper()
	d, err := plane.Kinds{}.Of(plane.KindWordPress)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// WordPress is laid below what a repository has of a wp-content; nothing of the repository, and nothing that is shared, is replaced.
func TestWordPressBelowAWPContent(t *testing.T) {
	core := map[string]string{
		".wordpress/core/index.php": "core", ".wordpress/core/wp-settings.php": "core", ".wordpress/core/wp-content/index.php": "core",
		".wordpress/core/wp-content/themes/default/style.css": "core", ".wordpress/core/wp-content/themes/mine/style.css": "core", ".wordpress/version": "WordPress 6.1.9",
	}
	for name, texts := range map[string]map[string]string{
		"a wp-content":            {"wp-content/themes/mine/style.css": "mine", "wp-content/index.php": "mine", "wp-content/plugins/a b.php": "mine", "wp-content/uploads": "-> SHARED"},
		"what is in a wp-content": {"themes/mine/style.css": "mine", "index.php": "mine", "plugins/a b.php": "mine", ".keep": "mine", "uploads/old.png": "mine", "wp-content/uploads": "-> SHARED"},
	} {
		dir, shared := t.TempDir(), t.TempDir()
		for at, text := range texts {
			texts[at] = strings.Replace(text, "SHARED", shared, 1)
		}
		tree(t, shared, map[string]string{"kept.png": "kept"})
		tree(t, dir, core)
		tree(t, dir, texts)
		if out, err := laid(t, dir, wordPress(t).Settle(plane.Place{Folder: dir, Options: map[string]string{"core": "debian"}})); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		for at, want := range map[string]string{
			"wp-settings.php": "core", "index.php": "core", "wp-content/index.php": "mine", "wp-content/themes/mine/style.css": "mine", "wp-content/themes/default/style.css": "core",
			"wp-content/plugins/a b.php": "mine", "wp-content/uploads/kept.png": "kept", ".wordpress/version": "WordPress 6.1.9",
		} {
			if got, err := os.ReadFile(filepath.Join(dir, at)); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, %v", name, at, got, err)
			}
		}
		if to, err := os.Readlink(filepath.Join(dir, "wp-content/uploads")); err != nil || to != shared {
			t.Errorf("%s: uploads lead to %q, %v", name, to, err)
		}
		if config, err := os.ReadFile(filepath.Join(dir, "wp-config.php")); err != nil || !strings.Contains(string(config), "DISABLE_WP_CRON") {
			t.Errorf("%s: no configuration: %v", name, err)
		}
		for _, gone := range []string{"themes", "plugins", "uploads", ".wordpress/core"} {
			if _, err := os.Lstat(filepath.Join(dir, gone)); err == nil {
				t.Errorf("%s: %s is left", name, gone)
			}
		}
	}
}

// What does not fit is told with the way out.
func TestWhereWordPressComesFrom(t *testing.T) {
	for name, c := range map[string]struct {
		texts map[string]string
		core  string
		want  string
	}{
		"WordPress itself, and core=debian":    {map[string]string{"wp-settings.php": "x"}, "debian", "app set --option core=repository"},
		"nothing, and core=debian":             {map[string]string{"index.php": "x", "wp-content/uploads/a": "x"}, "debian", "is it in another folder of the repository (--root)?"},
		"a wp-content, and no option":          {map[string]string{"wp-content/mu-plugins/a.php": "x"}, "", "app set --option core=debian"},
		"what is in a wp-content":              {map[string]string{"themes/mine/style.css": "x"}, "repository", "app set --option core=debian"},
		"neither WordPress nor anything of it": {map[string]string{"index.php": "x"}, "", "there is no WordPress here"},
	} {
		dir := t.TempDir()
		tree(t, dir, c.texts)
		var lines []string
		for _, line := range wordPress(t).Setup(plane.Place{Folder: dir, Options: map[string]string{"core": c.core}}) {
			if !strings.Contains(line, "apt-get") && !strings.Contains(line, "php -r") {
				lines = append(lines, line)
			}
		}
		if out, err := laid(t, dir, lines); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, %q", name, err, out)
		}
	}
}

// Before another server serves a WordPress, its uploads and what keeps them elsewhere are told.
func TestUploadsOfWordPress(t *testing.T) {
	for name, c := range map[string]struct {
		texts        map[string]string
		want, unsaid string
	}{
		"nothing":                     {map[string]string{"wp-content/plugins/akismet/akismet.php": "x"}, "warning: uploads: no plugin that keeps media in object storage", "will not be"},
		"uploads":                     {map[string]string{"wp-content/uploads/2026/a.png": "x", "wp-content/uploads/b.png": "x"}, "warning: uploads: 2 files in wp-content/uploads here will not be on another backend", "is switched on"},
		"WP Offload Media":            {map[string]string{"wp-content/plugins/amazon-s3-and-cloudfront-pro/x.php": "x"}, "uploads: wp-content/plugins/amazon-s3-and-cloudfront-pro keeps media in object storage, if it is switched on", "warning"},
		"one that must not be seen":   {map[string]string{"wp-content/plugins/contact-form/x.php": "x", "wp-content/uploads/a.png": "x"}, "1 file in wp-content/uploads", "is switched on"},
		"one that is always there is": {map[string]string{"wp-content/mu-plugins/S3-Uploads/x.php": "x", "wp-content/uploads/a.png": "x"}, "1 file in wp-content/uploads", "no plugin"},
	} {
		dir := t.TempDir()
		tree(t, dir, c.texts)
		words := wordPress(t).Cautions(plane.Place{Folder: dir})
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) || strings.Contains(string(out), c.unsaid) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}

// What visits do elsewhere, one server does by the clock.
func TestWordPressCronRunsOnOne(t *testing.T) {
	beside := wordPress(t).Beside
	if len(beside) != 1 || beside[0].Kind != plane.Cron || beside[0].On != plane.OnOne || !strings.Contains(beside[0].Command, "wp-cron.php") {
		t.Errorf("beside it runs %+v", beside)
	}
}
