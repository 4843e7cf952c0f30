package lab_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/serverplane/serverplane/e2e/lab"
)

// TestPackagesAreThoseThePanelInstalls: one more there and not here would make
// every equipped story slower without anybody noticing.
func TestPackagesAreThoseThePanelInstalls(t *testing.T) {
	known := lab.Packages()
	for file, list := range map[string]string{
		"provision.py":      `PACKAGES = \[([^\]]+)\]`,
		"runtime_nodejs.py": `install\(\[([^\]]+)\]\)`,
	} {
		text, err := os.ReadFile("../../playbooks/steps/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(list).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s names no packages in the form %s", file, list)
		}
		for _, name := range regexp.MustCompile(`[a-z0-9.+-]+`).FindAllString(string(found[1]), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s installs %s, which lab.Packages lacks", file, name)
			}
		}
	}
}
