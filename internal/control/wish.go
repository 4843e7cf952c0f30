package control

import (
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// ServerWish is what a person says of a server to add. Key, Password and
// SudoPassword are used once, inside the call, and never stored.
type ServerWish struct {
	Name           string
	Address        string
	PrivateAddress string // empty: chosen from the survey
	SSHPort        int    // 0: 22
	User           string // empty: root
	Key            []byte // PEM of a private key, or nil for the panel's own
	Password       string
	SudoPassword   string
	HostKey        string // the fingerprint the person expects, "SHA256:…"
	Firewall       plane.Firewall
	Adopt          bool
}

// AppWish is what a person says of an app to create.
type AppWish struct {
	Name       string
	Server     string // name of the primary
	Kind       plane.Kind
	Repository string
	Branch     string
	Domains    []string
	Spec       plane.Spec
	NoDeploy   bool

	Acknowledge []string // ids of the warnings the person has read
}

// AppChange names what to change; nil leaves as it is. In force with the next
// deployment, the health path at once.
type AppChange struct {
	Branch     *string
	Domains    *[]string
	Build      *[]string
	Start      *string
	RunOnce    *[]string
	Root       *string
	HealthPath *string
	Repository *string
	Options    map[string]string // those named; an empty value takes one back to its default

	Acknowledge []string // ids of the warnings the person has read
}

// DeployWish says what to deploy.
type DeployWish struct {
	Ref     string   // commit, tag or branch; empty: the app's branch
	Without []string // names of servers that take no part
	Rebuild bool     // build although the commit is built already

	Acknowledge []string // ids of the warnings the person has read
}

// RollbackWish says what to go back to.
type RollbackWish struct {
	Deployment string   // id; empty: the one that was live before
	Without    []string // names of servers that take no part

	Acknowledge []string // ids of the warnings the person has read
}

// BalancerWish is the wish to balance an app.
type BalancerWish struct {
	Method      plane.Method // empty: round-robin
	Acknowledge []string     // ids of the warnings the person has read
}

// BackendWish is the wish for one more backend.
type BackendWish struct {
	Server      string
	Weight      int // 0: 1
	Backup      bool
	Acknowledge []string // ids of the warnings the person has read
}

// DatabaseWish is the wish for a database of an app.
type DatabaseWish struct {
	Name        string
	App         string
	Engine      plane.Engine
	Prefix      string   // of its variables; empty for an app's first
	Password    string   // empty: one is made
	Acknowledge []string // ids of the warnings the person has read
}

// DatabaseChange names what to change about a database; nil leaves as it is.
type DatabaseChange struct {
	MaxConnections *int // of the whole engine
	Pool           *int
	RequireTLS     *bool
	BackupSchedule *string  // as plane.ParseBackupSchedule reads it, or off
	Keep           *int     // dumps
	Prove          bool     // try anew who gets in and who does not
	Acknowledge    []string // ids of the warnings the person has read
}

// BackendChange names what to change about a backend; nil leaves as it is.
type BackendChange struct {
	Weight *int
	Backup *bool
	Yes    bool // the last healthy one may become a backup
	Seen   Seen // of SeenShare
}

// BalancerChange names what to change about a load balancer; nil leaves as it is.
type BalancerChange struct {
	Method     *plane.Method
	HealthPath *string
	Interval   *plane.Duration
	Timeout    *plane.Duration
	Fall       *int
	Rise       *int
	TakeOut    *bool
	NameHeader *bool
	Floor      *int
	Seen       Seen // of SeenBalancer
}

// DisableWish is the wish to end load balancing.
type DisableWish struct {
	RemoveBackends bool
	Discard        bool // and pack no files that exist nowhere else
}

// RemoveWish is the wish to remove a backend.
type RemoveWish struct {
	Discard bool // do not pack the files that exist nowhere else
	Yes     bool // it may be the last healthy one
}

// ServerView is a server with what it carries.
type ServerView struct {
	plane.Server
	Apps []string // names
}

// AppView is an app with the names a person knows.
type AppView struct {
	plane.App
	ServerName string
	Live       *plane.Deployment // or nil
	Unapplied  bool              // variables differ from the live deployment's

	Label, Slot, Trust string   // of its kind; see plane.Definition
	Shared             []string // folders that outlive releases, on each server for itself
	Beside             []string // command lines that add what apps of its kind usually run beside it

	RestartCost string // what restarting costs, as its backends are
	Gap         bool   // restarting leaves visitors without an answer
	GapAsked    bool   // each deployment asks for it to be acknowledged, where it restarts
}

// DeploymentView is a deployment with where it stands and how long such a one
// takes, from the last that completed; what is not known is 0.
type DeploymentView struct {
	plane.Deployment
	AppName      string
	Live         bool          // it is what visitors get
	Elapsed      time.Duration // since it started, up to its end
	Expected     time.Duration
	ExpectedLive time.Duration // until visitors get it
	Steps        []StepView
}

// StepState is where a step of a Run is.
type StepState string

// The states of a step.
const (
	StepDone    StepState = "done"
	StepRunning StepState = "running"
	StepFailed  StepState = "failed" // the last one of what did not end well
	StepWaiting StepState = "waiting"
)

// StepView is one step of a deployment.
type StepView struct {
	Name      string
	State     StepState
	StartedAt time.Time     // zero while it waits
	Took      time.Duration // so far
	Expected  time.Duration // 0: not known
}

// BackendView is a backend with the names a person knows.
type BackendView struct {
	plane.Backend
	AppName    string
	ServerName string
	Address    string // what the entry connects to: address and port of the live slot
}

// BalancerView is an app's load balancer as a person sees it.
type BalancerView struct {
	plane.LoadBalancer
	App      string
	Path     string // the health check's
	Backends []BackendView
	// Pending: a wish about the entry's traffic is not in force yet, and why.
	Pending       bool
	PendingReason string
}

// DatabaseView is a database with the names a person knows, and its engine.
type DatabaseView struct {
	plane.Database
	AppName    string
	ServerName string
	Host       string // for backends; the primary uses 127.0.0.1
	Server     plane.DatabaseServer
	Budget     plane.Budget
	Access     []AccessView // the primary first
	NextBackup time.Time    // by its schedule; zero: none
}

// ServerAt names the backend that connects from the address, or nobody.
func (v DatabaseView) ServerAt(address string) string {
	for _, a := range v.Access {
		if a.Address.String() == address {
			return a.ServerName
		}
	}
	return ""
}

// AccessView is one backend's way to a database.
type AccessView struct {
	plane.Access
	ServerName string
	Role       string // of the backend
}

// VariableView is one variable; Value is empty unless revealed. One with Computed
// is made by ServerPlane, from what that says, and may differ by server.
type VariableView struct {
	Computed  string
	Name      string
	Value     string
	Length    int    // bytes of the value
	Version   string // another one whenever it was set
	UpdatedAt time.Time
}

// VariableChange is what setting a variable does.
type VariableChange string

// What setting a variable does.
const (
	VariableAdded    VariableChange = "added"
	VariableReplaced VariableChange = "replaced"
	VariableStays    VariableChange = "stays as it is"
)

// RunView is a Run with names and what it waits for.
type RunView struct {
	plane.Run
	AppName     string
	ServerNames []string
	WaitsFor    string    // in words, or empty
	Blocker     plane.Run // the one it waits for; without an id: none
}

// RunFilter narrows a list of Runs.
type RunFilter struct {
	App    string         // name, or empty
	Server string         // name, or empty: about the server, or touching it
	State  plane.RunState // or empty
	Before string         // cursor
	Limit  int
}
