package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
)

// assetFiles is what browsers load. Its folder vendor is filled by "make assets"
// and holds nothing but a placeholder in the repository: without it pages are
// plainer, and still work.
//
//go:embed all:assets
var assetFiles embed.FS

// asset is one file a page loads.
type asset struct {
	address string // with a hash of its contents, so that it may be kept for ever
	kind    string
	plain   []byte
	zipped  []byte
}

// assets are the files by their name below the folder assets.
type assets map[string]asset

// readAssets names every embedded file by what it holds.
func readAssets() assets {
	all := assets{}
	err := fs.WalkDir(assetFiles, "assets", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		raw, err := assetFiles.ReadFile(at)
		name := strings.TrimPrefix(at, "assets/")
		sum := sha256.Sum256(raw)
		all[name] = asset{
			address: "/assets/" + hex.EncodeToString(sum[:6]) + "/" + name, kind: mime.TypeByExtension(path.Ext(name)), plain: raw, zipped: zip(raw),
		}
		return err
	})
	if err != nil {
		panic(err) // the files are part of this program
	}
	return all
}

func zip(raw []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(raw) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// url is where a file is, or empty if this program was built without it.
func (a assets) url(name string) string { return a[name].address }

// asset answers a file; the address changes with the contents.
func (u *UI) asset(w http.ResponseWriter, r *http.Request) {
	pageHeaders(w.Header())
	found := u.assets[r.PathValue("path")]
	if found.address != r.URL.Path {
		u.fail(&visit{w: w, r: r, ui: u}, plane.NotFound("file", r.PathValue("path")))
		return
	}
	h := w.Header()
	h.Set("Content-Type", found.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := found.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = found.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a browser that has gone is not our error
}
