package files

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Manifest lists what was created for one app on one server. Removal walks this list and
// nothing else: nothing is ever found by a pattern. It is kept at ManifestPath.
type Manifest struct {
	App     string    `json:"app"`
	ID      string    `json:"id"` // the app's id: tells a later app of the same name from this one
	User    string    `json:"user"`
	Units   []string  `json:"units"`
	Nginx   []string  `json:"nginx"`   // relative to NginxRoot
	UFW     []string  `json:"ufw"`     // comments of the firewall rules
	Folders []string  `json:"folders"` // absolute
	Created time.Time `json:"created"`
	// Container says that the slots are containers: their names, the images', the network's and the comment of their rules follow
	// from App.
	Container bool `json:"container,omitempty"`
	// Processes and Generation are kept by the step that places processes: the
	// units that are or may be there, and the newest wish it has seen.
	Processes  []string `json:"processes,omitempty"`
	Generation int64    `json:"generation,omitempty"`
}

// Encode gives the file's bytes. Names and paths that another app could own are refused, since
// removal would follow them.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	m.Created = m.Created.UTC()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest of %s: %w", m.App, err)
	}
	return append(text, '\n'), nil
}

// DecodeManifest reads what Encode wrote, with the same refusals.
func DecodeManifest(text []byte) (Manifest, error) {
	var m Manifest
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("reading a manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("reading a manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) check() error {
	if err := checkApp(m.App); err != nil {
		return err
	}
	if err := checkID("id", "app", m.ID); err != nil {
		return err
	}
	if m.User != UserName(m.App) {
		return refuse("user", "must be "+UserName(m.App))
	}
	lists := []struct {
		field   string
		values  []string
		allowed []string
	}{
		{"units", m.Units, []string{UnitName(m.App, "a"), UnitName(m.App, "b")}},
		{"nginx", m.Nginx, []string{"conf.d/sp-" + m.App + ".conf"}},
		{"ufw", m.UFW, []string{"serverplane " + m.App}},
		{"folders", m.Folders, []string{Home(m.App), ConfigDir(m.App)}},
	}
	for _, l := range lists {
		if err := subset(l.field, l.values, l.allowed); err != nil {
			return err
		}
	}
	for i, u := range m.Processes {
		if !matches("sp-"+m.App+`(_p_`+processName+`@[0-9]{1,2}\.service|_[ct]_`+processName+`\.service|_c_`+processName+`\.timer)`, u) {
			return refuse(fmt.Sprintf("processes[%d]", i), "must be a unit of one of the app's processes")
		}
	}
	return nil
}

const processName = `[a-z]([a-z0-9-]{0,22}[a-z0-9])?`

func subset(field string, values, allowed []string) error {
	for i, v := range values {
		known := false
		for _, a := range allowed {
			known = known || v == a
		}
		if !known {
			return refuse(fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("must be one of %q", allowed))
		}
	}
	return nil
}
