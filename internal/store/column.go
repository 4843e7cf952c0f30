package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// micros is how a time is stored: microseconds since 1970, 0 for no time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant reads what micros wrote.
type instant struct{ into *time.Time }

func (i instant) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time is %T", v)
	}
	*i.into = time.Time{}
	if n != 0 {
		*i.into = time.UnixMicro(n).UTC()
	}
	return nil
}

// document stores a value as JSON text and reads it back through a pointer.
type document struct{ v any }

func (d document) Value() (driver.Value, error) {
	raw, err := json.Marshal(d.v)
	return string(raw), err
}

func (d document) Scan(v any) error {
	text, err := textOf(v)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), d.v)
}

// address stores no address as empty text.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// addressColumn reads what address wrote.
type addressColumn struct{ into *netip.Addr }

func (c addressColumn) Scan(v any) error {
	text, err := textOf(v)
	*c.into = netip.Addr{}
	if err != nil || text == "" {
		return err
	}
	*c.into, err = netip.ParseAddr(text)
	return err
}

// words reads a list the query joined with blanks; no word holds one.
type words struct{ into *[]string }

func (w words) Scan(v any) error {
	*w.into = nil
	if v == nil {
		return nil
	}
	text, err := textOf(v)
	if text != "" {
		*w.into = strings.Split(text, " ")
	}
	return err
}

// raw stores no JSON as empty text.
type raw struct{ into *json.RawMessage }

func (r raw) Scan(v any) error {
	text, err := textOf(v)
	*r.into = nil
	if text != "" {
		*r.into = json.RawMessage(text)
	}
	return err
}

// bytesOf makes no bytes empty bytes: the columns are NOT NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func textOf(v any) (string, error) {
	switch t := v.(type) {
	case string:
		return t, nil
	case []byte:
		return string(t), nil
	}
	return "", fmt.Errorf("text is %T", v)
}
