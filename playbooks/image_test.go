package playbooks

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// made runs app_build.py's function of that name on what Docker's builder printed.
func made(t *testing.T, printed string) string {
	t.Helper()
	step, err := FS.ReadFile("steps/app_build.py")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSuffix(strings.TrimSpace(string(step)), "main()")
	out, err := exec.Command("/usr/bin/python3", "-c", fmt.Sprintf("import re\n%s\nprint(*made(%q))\n", own, printed)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// Only what the builder made is ever removed: what a stage begins with is somebody else's.
func TestImagesThatABuildMade(t *testing.T) {
	for printed, want := range map[string]string{
		"Step 1/4 : FROM debian:12 AS one\n ---> aaaaaaaaaaaa\nStep 2/4 : COPY app /app\n ---> bbbbbbbbbbbb\nStep 3/4 : FROM scratch\n ---> \n" +
			"Step 4/4 : COPY --from=one /app /app\n ---> Using cache\n ---> cccccccccccc\nSuccessfully built cccccccccccc\n": "bbbbbbbbbbbb cccccccccccc",
		"Step 1/2 : from debian:12\n ---> aaaaaaaaaaaa\nStep 2/2 : RUN x\n ---> Running in dddddddddddd\n ---> eeeeeeeeeeee\n ---> eeeeeeeeeeee\n": "eeeeeeeeeeee",
		"#5 [2/2] COPY app /app\n#5 DONE 0.1s\n": "",
	} {
		if got := made(t, printed); got != want {
			t.Errorf("%q: %q, want %q", printed, got, want)
		}
	}
}
