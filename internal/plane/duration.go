package plane

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that travels as Go text ("10s") in JSON.
type Duration time.Duration

// Std returns the standard library's form.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Abs returns the duration without its sign.
func (d Duration) Abs() time.Duration { return time.Duration(d).Abs() }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes Go text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads Go text.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	*d = Duration(v)
	return nil
}
