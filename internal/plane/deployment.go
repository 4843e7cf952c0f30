package plane

import "time"

// DeploymentState is how far an attempt to make a commit live has come.
type DeploymentState string

// The states of a deployment.
const (
	DeploymentQueued    DeploymentState = "queued"
	DeploymentPreparing DeploymentState = "preparing"
	DeploymentSwitching DeploymentState = "switching"
	DeploymentVerifying DeploymentState = "verifying"
	DeploymentCompleted DeploymentState = "completed"
	DeploymentFailed    DeploymentState = "failed"
	DeploymentCancelled DeploymentState = "cancelled"
	DeploymentReverted  DeploymentState = "reverted"
)

// Ended tells whether the deployment is over.
func (s DeploymentState) Ended() bool {
	switch s {
	case DeploymentCompleted, DeploymentFailed, DeploymentCancelled, DeploymentReverted:
		return true
	}
	return false
}

// Trigger says why a deployment began.
type Trigger string

// The triggers of product.md section 8.
const (
	TriggerManual      Trigger = "manual"
	TriggerPush        Trigger = "push"
	TriggerEnvironment Trigger = "environment"
	TriggerRollback    Trigger = "rollback"
)

// Deployment is one attempt to make a commit live on every backend. Spec and
// Variables are copies from when it began: a later wish does not change them,
// and a backend added later gets exactly the live ones.
type Deployment struct {
	ID         string
	AppID      string
	RunID      string
	Trigger    Trigger
	Ref        string // what was asked for
	Commit     string // 40 hex digits, once known
	Author     string
	Subject    string
	ReleaseID  string // <UTC yyyymmddhhmmss>-<sha7>, once known
	SourceID   string // the deployment whose release is started again; empty: it builds its own
	Slot       Slot   // where it runs, once chosen
	Spec       Spec
	Variables  []byte // sealed JSON object name -> value
	State      DeploymentState
	Reason     string
	Actor      string        // the person's mail address
	Parts      []Part        // what became of it on each server; the primary first
	Databases  []DatabaseUse // what its processes were given of databases
	CreatedAt  time.Time
	StartedAt  time.Time
	LiveAt     time.Time // when the switch happened
	FinishedAt time.Time
}

// PartState is how far one server's part in a deployment has come.
type PartState string

// The states of a part.
const (
	PartPreparing PartState = "preparing"
	PartStarted   PartState = "started"  // built and listening in the idle slot
	PartReady     PartState = "ready"    // answered there
	PartLive      PartState = "live"     // visitors get it
	PartBehind    PartState = "behind"   // takes no part: what it has is what was live before
	PartFailed    PartState = "failed"   // why the deployment failed
	PartStopped   PartState = "stopped"  // the deployment ended first; nothing visitors see has changed
	PartReverted  PartState = "reverted" // visitors got it and are back on the old slot
)

// Ended tells whether a deployment that is over leaves the part as it is.
func (s PartState) Ended() bool {
	switch s {
	case PartLive, PartBehind, PartFailed, PartStopped, PartReverted:
		return true
	}
	return false
}

// Part is one server's part in a deployment.
type Part struct {
	Server string    `json:"server"` // name
	State  PartState `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// ReleaseID names a release; the panel makes it, so it is the same on all backends.
func ReleaseID(at time.Time, commit string) string {
	return at.UTC().Format("20060102150405") + "-" + commit[:7]
}
