package secret

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func open(t *testing.T) (*Box, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.key")
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, path
}

func TestWhatIsSealedOpensOnlyInItsContext(t *testing.T) {
	b, path := open(t)
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		context, other := rapid.String().Draw(t, "context"), rapid.String().Draw(t, "other")
		sealed, err := b.Seal(plain, context)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Unseal(sealed, context); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %q, %v", got, err)
		}
		if _, err := b.Unseal(sealed, other); other != context && !errors.Is(err, ErrUnsealable) {
			t.Fatalf("opened in context %q: %v", other, err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")
		sealed[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, err := b.Unseal(sealed, context); !errors.Is(err, ErrUnsealable) {
			t.Fatalf("opened with byte %d changed: %v", i, err)
		}
	})
}

func TestTheSamePlainIsNeverSealedTwiceAlike(t *testing.T) {
	b, _ := open(t)
	one, _ := b.Seal([]byte("x"), "c")
	two, _ := b.Seal([]byte("x"), "c")
	if bytes.Equal(one, two) {
		t.Error("equal")
	}
}

func TestRotation(t *testing.T) {
	old, path := open(t)
	sealed, _ := old.Seal([]byte("before"), "c")
	if err := Rotate(path); err != nil {
		t.Fatal(err)
	}
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Unseal(sealed, "c"); err != nil || string(got) != "before" {
		t.Fatalf("old value: %q, %v", got, err)
	}
	fresh, _ := b.Seal([]byte("after"), "c")
	if _, err := old.Unseal(fresh, "c"); !errors.Is(err, ErrUnsealable) {
		t.Errorf("the old key opened a value of the new one: %v", err)
	}
	if !b.Stale(sealed) || b.Stale(fresh) {
		t.Error("stale must tell the old value from the new")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o after rotation", info.Mode().Perm())
	}
}

func TestRefusedKeyFiles(t *testing.T) {
	good, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		text, want string
		mode       os.FileMode
	}{
		"group may read":  {good.text(), "mode is 0640", 0o640},
		"others may read": {good.text(), "mode is 0604", 0o604},
		"empty":           {"# nothing\n", "holds no key", 0o600},
		"short key":       {keyTag + "c2hvcnQ=", "line 1 is not a key", 0o600},
		"second line bad": {good.text() + "\nsecretsecret", "line 2 is not a key", 0o600},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "secretsecret") || strings.Contains(err.Error(), good.text()) {
				t.Errorf("the error tells the file's text: %v", err)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "link")
	_, target := open(t)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err == nil {
		t.Error("a symbolic link was followed")
	}
}

func TestOneKeyWhenManyCreateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	boxes := make([]*Box, 8)
	var all sync.WaitGroup
	for i := range boxes {
		all.Go(func() {
			b, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			boxes[i] = b
		})
	}
	all.Wait()
	sealed, _ := boxes[0].Seal([]byte("x"), "")
	for i, b := range boxes {
		if _, err := b.Unseal(sealed, ""); err != nil {
			t.Errorf("box %d has another key", i)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left behind: %v", left)
	}
}

func TestBoxPrintsNothing(t *testing.T) {
	b, path := open(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, b); got != "secret.Box" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}

func FuzzUnseal(f *testing.F) {
	keys := []key{{1}, {2}}
	b, err := newBox(keys)
	if err != nil {
		f.Fatal(err)
	}
	sealed, _ := b.Seal([]byte("plain"), "c")
	f.Add(sealed, "c")
	f.Add([]byte{}, "")
	f.Add(sealed[:overhead], "c")
	f.Fuzz(func(t *testing.T, data []byte, context string) {
		// The seeds of other fuzzing processes hold the same plain, sealed with
		// other nonces; nothing else was ever sealed.
		plain, err := b.Unseal(data, context)
		if err == nil && (string(plain) != "plain" || context != "c") {
			t.Fatalf("opened a value never sealed: %q", plain)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(key{}.text()))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parse(text)
		if err == nil && len(keys) == 0 {
			t.Fatal("accepted a file without keys")
		}
	})
}
