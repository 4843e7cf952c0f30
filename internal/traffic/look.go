package traffic

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
)

//go:embed read.py
var program string

// The bounds of one look at a server: how many logs, how many bytes of all of
// them, how long it may take; and how far behind a log may be before the panel
// gives up catching up and says so.
const (
	logsAtOnce = 8
	bytesMost  = 3 << 20
	lookLimit  = 30 * time.Second
	behindMost = 64 << 20
)

// asked is what read.py is told.
type asked struct {
	Files  []askedFile `json:"files"`
	Most   int         `json:"most"`
	Behind int         `json:"behind"`
}

type askedFile struct {
	Path   string           `json:"path"`
	Places []plane.LogPlace `json:"places"`
}

// answer is what read.py says of one log; lines follow it.
type answer struct {
	Path    string           `json:"path"`
	Found   bool             `json:"found"`
	Places  []plane.LogPlace `json:"places"`
	Rest    int64            `json:"rest"`    // bytes that are still to be read
	Skipped int64            `json:"skipped"` // bytes left out
	Lost    bool             `json:"lost"`    // some of it was gone before it was read
	Lines   int              `json:"lines"`
	lines   []string
}

// look reads what is new in the logs on one server.
func look(ctx context.Context, ex Executor, s plane.Server, logs []reading) ([]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	a := asked{Most: bytesMost / len(logs), Behind: behindMost}
	for _, l := range logs {
		a.Files = append(a.Files, askedFile{recipe.EntryLogPath(l.app.Name), append([]plane.LogPlace{}, l.log.Places...)})
	}
	input, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("say what to read: %w", err)
	}
	result, err := ex.Exec(ctx, recipe.Target(s), remote.Command{
		Args: []string{"python3", "-I", "-S", "-c", program}, Stdin: bytes.NewReader(input), Sudo: true,
	})
	switch {
	case err != nil:
		return nil, err
	case result.Exit != 0:
		return nil, fmt.Errorf("reading the log on %s ended with %d: %s", s.Name, result.Exit, lastLine(result.Stderr))
	case result.Truncated:
		return nil, errors.New("more of the log came than was asked for")
	}
	return decode(result.Stdout, a.Files)
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// decode takes an answer for each file in turn, or nothing.
func decode(text []byte, files []askedFile) ([]answer, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	var all []answer
	for _, f := range files {
		var a answer
		if !lines.Scan() {
			return nil, fmt.Errorf("no answer about %s", f.Path)
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil || a.Path != f.Path || len(a.Places) > 2 {
			return nil, fmt.Errorf("what was said of %s makes no sense", f.Path)
		}
		for range a.Lines {
			if !lines.Scan() {
				return nil, fmt.Errorf("the lines of %s are cut off", f.Path)
			}
			a.lines = append(a.lines, lines.Text())
		}
		all = append(all, a)
	}
	return all, nil
}
