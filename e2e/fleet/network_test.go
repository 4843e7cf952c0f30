package fleet

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fleet's /24 lies in the block reserved for tests and misses all that is taken, down to the last free one.
func TestFreePrefix(t *testing.T) {
	block := netip.MustParsePrefix("198.18.0.0/15")
	var taken []netip.Prefix
	for {
		prefix, err := freePrefix(taken)
		if err != nil {
			break
		}
		if !block.Overlaps(prefix) || prefix.Bits() != 24 || overlapsAny(prefix, taken) {
			t.Fatalf("%s after %d others", prefix, len(taken))
		}
		taken = append(taken, prefix)
	}
	// Fleets of this machine may hold some.
	if len(taken) < 400 || len(taken) > 512 {
		t.Errorf("%d prefixes were given out, of 512", len(taken))
	}
}

func TestResolvers(t *testing.T) {
	for _, c := range []struct {
		name, first, second, want string
	}{
		{"plain", "search x\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n", "", "192.0.2.1 192.0.2.2"},
		{"stub", "nameserver 127.0.0.53\n", "nameserver 192.0.2.3\n", "192.0.2.3"},
		{"loopback beside a real one", "nameserver 127.0.0.1\nnameserver 192.0.2.4\n", "nameserver 192.0.2.5\n", "192.0.2.4"},
		{"no address", "nameserver\nnameserver here\nnameserver ::1\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var files []string
			for name, text := range map[string]string{"1": c.first, "2": c.second} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			files = append(files, filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "absent"))
			got, err := resolvers(files...)
			if strings.Join(got, " ") != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
