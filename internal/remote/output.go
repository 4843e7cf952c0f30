package remote

import (
	"bytes"
	"strings"
	"sync"
)

const (
	outputLimit = 4 << 20  // bytes kept of each stream
	lineLimit   = 64 << 10 // bytes after which a line without an end is handed on in pieces
)

// output keeps the first bytes of a stream and, where wanted, hands it on line by line. It may still be written to after a
// cancelled command has returned, so what is taken out is a copy.
type output struct {
	mu        sync.Mutex
	kept      bytes.Buffer
	truncated bool
	partial   []byte
	closed    bool
	pass      bool         // keep nothing
	line      func(string) // nil: nobody follows
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return len(p), nil
	}
	if !o.pass {
		room := min(len(p), outputLimit-o.kept.Len())
		o.kept.Write(p[:room])
		o.truncated = o.truncated || room < len(p)
	}
	if o.line != nil {
		o.partial = append(o.partial, p...)
		o.emit()
	}
	return len(p), nil
}

// emit hands on the whole lines that have arrived.
func (o *output) emit() {
	for {
		end := bytes.IndexByte(o.partial, '\n')
		switch {
		case end > lineLimit, end < 0 && len(o.partial) > lineLimit:
			o.hand(o.partial[:lineLimit])
			o.partial = o.partial[lineLimit:]
		case end >= 0:
			o.hand(o.partial[:end])
			o.partial = o.partial[end+1:]
		default:
			return
		}
	}
}

func (o *output) hand(line []byte) { o.line(strings.TrimSuffix(string(line), "\r")) }

// finish hands on an unended last line and returns what was kept; later writes are dropped.
func (o *output) finish() (kept []byte, truncated bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.line != nil && len(o.partial) > 0 && !o.closed {
		o.hand(o.partial)
	}
	o.closed, o.partial = true, nil
	return bytes.Clone(o.kept.Bytes()), o.truncated
}
