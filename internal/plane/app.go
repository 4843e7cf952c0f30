package plane

import (
	"fmt"
	"time"
)

// AppState is where an app is in its life.
type AppState string

// The states of an app.
const (
	AppNew       AppState = "new"       // nothing deployed yet
	AppDeploying AppState = "deploying" // its first deployment is under way
	AppLive      AppState = "live"
	AppFailed    AppState = "failed" // its first deployment failed
	AppRemoving  AppState = "removing"
)

// Slot is one of the two places where an app can run on a server.
type Slot string

// The two slots.
const (
	SlotA Slot = "a"
	SlotB Slot = "b"
)

// Other returns the other slot; that of no slot is a.
func (s Slot) Other() Slot {
	if s == SlotA {
		return SlotB
	}
	return SlotA
}

// App is a Git repository with build steps and configuration.
type App struct {
	ID           string
	Name         string
	Kind         Kind
	ServerID     string // the primary
	Repository   string
	Branch       string
	Domains      []string // the first is the main one; empty: answers any name
	Spec         Spec
	DeployKey    string // public half, authorized_keys form
	DeployKeyPEM []byte // private half, sealed
	State        AppState
	Reason       string
	Since        time.Time
	LiveSlot     Slot   // empty until something is live
	LiveID       string // the live deployment, or empty
	Balancer     LoadBalancer
	CreatedAt    time.Time
}

// Spec is how an app is built and run: what a deployment takes a copy of.
type Spec struct {
	Root       string            `json:"root,omitempty"` // folder inside the repository
	Build      []string          `json:"build"`          // shell lines, on every backend
	Start      string            `json:"start"`          // shell line
	RunOnce    []string          `json:"run_once,omitempty"`
	HealthPath string            `json:"health_path"`
	Options    map[string]string `json:"options,omitempty"`
}

// Defaults of an app.
const (
	DefaultBranch     = "main"
	DefaultHealthPath = "/"
	DefaultDrain      = 30 * time.Second
	KeepReleases      = 5
)

// WithDefaults fills what was left empty with the defaults of a kind the product has.
func (s Spec) WithDefaults(k Kind) Spec { return Kinds{}.Complete(k, s) }

// Check holds for a spec with its defaults, whatever its kind; Kinds.Check has the rest.
func (s Spec) Check() error {
	if err := CheckRoot("root", s.Root); err != nil {
		return err
	}
	if err := CheckHealthPath("health_path", s.HealthPath); err != nil {
		return err
	}
	if s.Start != "" { // whether it may be empty is for its kind to say
		if err := CheckCommand("start", s.Start); err != nil {
			return err
		}
	}
	for _, line := range s.Build {
		if err := CheckCommand("build", line); err != nil {
			return err
		}
	}
	for _, line := range s.RunOnce {
		if err := CheckCommand("run_once", line); err != nil {
			return err
		}
	}
	return nil
}

// OptionDrain is how long an old slot goes on after a switch.
const OptionDrain = "drain"

// Drain is how long an old slot goes on after a switch, for requests under way.
func (s Spec) Drain() time.Duration {
	d, err := s.drain()
	if err != nil {
		return DefaultDrain
	}
	return d
}

func (s Spec) drain() (time.Duration, error) {
	text, given := s.Options[OptionDrain]
	if !given {
		return DefaultDrain, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d < 0 || d > 10*time.Minute) {
		err = fmt.Errorf("drain %s is out of range", d)
	}
	return d, err
}

// Check holds for an app before it is stored; Kinds.Check has what its kind demands.
func (a App) Check(insecure bool) error {
	checks := []error{
		CheckAppName("name", a.Name),
		CheckRepository("repository", a.Repository, insecure),
		CheckBranch("branch", a.Branch),
		a.Spec.Check(),
		a.Balancer.Health.Check(),
	}
	for _, d := range a.Domains {
		checks = append(checks, CheckDomain("domain", d))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// Variable is one environment variable of an app; the value is sealed at rest.
type Variable struct {
	AppID     string
	Name      string
	Sealed    []byte
	UpdatedAt time.Time
}
