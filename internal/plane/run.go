package plane

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// RunKind says what a Run does.
type RunKind string

// The kinds of Run.
const (
	RunProvision RunKind = "server-provision"
	RunDeploy    RunKind = "deployment"
	RunEnable    RunKind = "lb-enable"
	RunAdd       RunKind = "backend-add"
	RunRemoveApp RunKind = "app-remove"
	RunDisable   RunKind = "lb-disable"
	RunSteer     RunKind = "traffic"        // waits for a wish about traffic that was not in force in time
	RunRepair    RunKind = "backend-repair" // brings a backend to what is live; also backend on that must catch up
	RunLeave     RunKind = "backend-remove"
	RunProcesses RunKind = "processes" // starts, stops and moves an app's processes and cron entries

	RunCreateDatabase RunKind = "database-create"
	RunSetDatabase    RunKind = "database-set"
	RunBackup         RunKind = "database-backup"
	RunRestore        RunKind = "database-restore"
	RunDropDatabase   RunKind = "database-remove"
)

// OnDatabase tells whether the Run is about one database.
func (k RunKind) OnDatabase() bool { return strings.HasPrefix(string(k), "database-") }

// RunState is where a Run is in its life.
type RunState string

// The states of a Run.
const (
	RunQueued      RunState = "queued"
	RunRunning     RunState = "running"
	RunSucceeded   RunState = "succeeded"
	RunFailed      RunState = "failed"
	RunCancelled   RunState = "cancelled"
	RunInterrupted RunState = "interrupted" // its panel died; it can be repeated
)

// Ended tells whether nothing more will happen.
func (s RunState) Ended() bool { return s != RunQueued && s != RunRunning }

// MayBecome is the Run state machine; the store enforces the same.
func (s RunState) MayBecome(next RunState) bool {
	switch s {
	case RunQueued:
		return next == RunRunning || next == RunCancelled
	case RunRunning:
		return next.Ended()
	}
	return false
}

// Run is one execution of work on servers.
type Run struct {
	ID           string
	Kind         RunKind
	AppID        string // or empty
	ServerID     string // or empty
	BackendID    string // or empty
	DeploymentID string // or empty
	Servers      []string
	Locks        []string // all taken when it is claimed
	Args         json.RawMessage
	Receipt      []ReceiptLine // what it did and left on servers, where the kind has one
	State        RunState
	Step         string // what is being done now
	Done, Total  int    // steps
	Reason       string // why it failed, or what it waits for
	Cancel       bool   // a person asked
	Actor        string // the person's mail address
	Owner        string // the panel instance that works on it
	Attempt      int
	LeaseUntil   time.Time
	CreatedAt    time.Time
	StartedAt    time.Time
	FinishedAt   time.Time
}

// EventKind says what a line of a Run's log is.
type EventKind string

// The kinds of event.
const (
	EventStep   EventKind = "step"   // a step begins
	EventLog    EventKind = "log"    // something was said
	EventTask   EventKind = "task"   // Ansible finished a task on a server
	EventOutput EventKind = "output" // a command's own output
	EventSaid   EventKind = "said"   // what an app's process wrote: it may hold what visitors sent
	EventError  EventKind = "error"  // why it failed
	EventEnd    EventKind = "end"    // the Run is over
)

// Event is one line of a Run's log; Seq counts from 1 without holes.
type Event struct {
	RunID  string
	Seq    int64
	Time   time.Time
	Kind   EventKind
	Server string // name, or empty
	Step   string
	Text   string
}

// ReceiptLine is one thing a Run took away or left on a server.
type ReceiptLine struct {
	Server string `json:"server"` // name
	What   string `json:"what"`   // for example "process and units" or "/var/backups/serverplane/web-….tar.gz"
	Done   bool   `json:"done"`   // false: still there; asking again continues
	Detail string `json:"detail"` // why not, or more about it
}

// AppLock guards what changes an app as a whole: deploying, removing.
func AppLock(appID string) string { return "app:" + appID }

// BackendLock guards what changes one backend.
func BackendLock(backendID string) string { return "backend:" + backendID }

// shared marks a lock that several Runs may hold together.
const shared = "/shared"

// Shared is the same lock held together with others who share it: two backends
// of one app are added at once, but never while it is deployed.
func Shared(lock string) string { return lock + shared }

// CutShared tells a lock's name and whether it is meant to be shared.
func CutShared(lock string) (name string, together bool) { return strings.CutSuffix(lock, shared) }

// PackagesLock guards apt, runtimes and the base of the firewall of a server.
func PackagesLock(serverID string) string { return "packages:" + serverID }

// DatabaseLock guards what a server's databases are as a whole: creating,
// restoring, removing one.
func DatabaseLock(serverID string) string { return "database:" + serverID }

// SortLocks returns the locks sorted without repetition.
func SortLocks(locks ...string) []string {
	out := slices.Clone(locks)
	slices.Sort(out)
	return slices.Compact(out)
}
