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
	Slot       Slot   // where it runs, once chosen
	Spec       Spec
	Variables  []byte // sealed JSON object name -> value
	State      DeploymentState
	Reason     string
	Actor      string // the person's mail address
	CreatedAt  time.Time
	StartedAt  time.Time
	LiveAt     time.Time // when the switch happened
	FinishedAt time.Time
}

// ReleaseID names a release; the panel makes it, so it is the same on all backends.
func ReleaseID(at time.Time, commit string) string {
	return at.UTC().Format("20060102150405") + "-" + commit[:7]
}
