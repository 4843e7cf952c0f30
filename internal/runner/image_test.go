package runner

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What packs an image ends as Docker does: a part of an image is never taken for the whole. A program stands in for Docker's here.
func TestPackedImagesEndAsDockerDoes(t *testing.T) {
	for status, program := range map[int]string{
		0: "#!/bin/sh\necho \"$3 of $4\"\n",
		3: "#!/bin/sh\necho half\nexit 3\n",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		pack := exec.Command("/bin/sh", "-c", packImage, "sh", "sp-web:1")
		pack.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
		packed, err := pack.Output()
		if pack.ProcessState.ExitCode() != status {
			t.Errorf("ended with %v, want exit status %d", err, status)
		}
		if got := unpacked(t, packed); status == 0 && got != "save of sp-web:1\n" {
			t.Errorf("packed %q", got)
		}
	}
}

func unpacked(t *testing.T, packed []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A meter counts what was taken, also where not all was.
func TestMeter(t *testing.T) {
	out, in := io.Pipe()
	m := &meter{to: in}
	go func() {
		_, _ = io.ReadFull(out, make([]byte, 3))
		_ = out.CloseWithError(io.ErrClosedPipe)
	}()
	if _, err := m.Write([]byte("12345")); !errors.Is(err, io.ErrClosedPipe) || m.passed.Load() != 3 {
		t.Errorf("%d passed, %v", m.passed.Load(), err)
	}
}
