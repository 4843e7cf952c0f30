package runner

import (
	"encoding/json"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
)

// args is what a wish tells its Run beyond what it is about.
type args struct {
	Server         string   `json:"server"`          // id; traffic
	Generation     int64    `json:"generation"`      // traffic
	Enable         bool     `json:"enable"`          // backend-repair: put it in at the end
	Discard        bool     `json:"discard"`         // backend-remove, lb-disable: pack nothing
	RemoveBackends bool     `json:"remove_backends"` // lb-disable
	Without        []string `json:"without"`         // deployment: names of servers that take no part
	Database       string   `json:"database"`        // id; database-*
	Backup         string   `json:"backup"`          // id; database-restore
	Restart        bool     `json:"restart"`         // a person agreed to restarting a database engine
	Process        string   `json:"process"`         // id; processes: whose wish it is
	Anyway         bool     `json:"anyway"`          // processes: an owner that cannot be reached is off, a person says
	Memory         bool     `json:"memory"`          // deployment, backend-add: a person knows that memory may run out
	Rebuild        bool     `json:"rebuild"`         // deployment: build although the commit is built already

	Prove  bool                `json:"prove"`  // database-set: try strangers as well
	Change *plane.EngineChange `json:"change"` // database-set: what it takes back if it fails
}

func (j *job) args() (args, error) { return readArgs(j.run) }

func readArgs(r plane.Run) (args, error) {
	var a args
	if len(r.Args) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(r.Args, &a); err != nil {
		return a, fmt.Errorf("read what %s %s was told: %w", r.Kind, r.ID, err)
	}
	return a, nil
}
