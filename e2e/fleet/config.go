package fleet

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// CacheVariable names the environment variable that overrides the default cache folder.
const CacheVariable = "SERVERPLANE_FLEET_CACHE"

// Config says where a fleet keeps its things. The zero value is ready for use.
type Config struct {
	// Cache holds base images, downloaded packages and the folders of running fleets. It must be on a file system that can
	// carry an overlay's upper folder (any disk; not itself an overlay). Empty means $SERVERPLANE_FLEET_CACHE, and else
	// serverplane-fleet in the user's cache folder.
	Cache string
	// Packages are installed on every server before its first boot, as apt does it, but started and enabled is nothing of
	// them. A story that is not about a first installation saves it. They become an image of their own in the cache.
	Packages []string
	// Log receives one line per slow or unusual step (building the base, reaping). Nil means silence.
	Log io.Writer
}

func (c Config) cache() (string, error) {
	dir := c.Cache
	if dir == "" {
		dir = os.Getenv(CacheVariable)
	}
	if dir == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("finding a cache folder: %w", err)
		}
		dir = filepath.Join(home, "serverplane-fleet")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding a cache folder: %w", err)
	}
	// Colons and commas would end a path inside the overlay's mount options.
	for _, r := range dir {
		if r == ':' || r == ',' || r == '\\' {
			return "", fmt.Errorf("the cache folder %q must not contain %q", dir, r)
		}
	}
	return dir, os.MkdirAll(filepath.Join(dir, "instances"), 0o755)
}

func (c Config) logf(format string, args ...any) {
	if c.Log != nil {
		fmt.Fprintf(c.Log, "fleet: "+format+"\n", args...)
	}
}
