package plane

import (
	"fmt"
	"slices"
	"time"
)

// Kind says what an app is made of.
type Kind string

// KindNodeJS is the only kind so far.
const KindNodeJS Kind = "nodejs"

// Kinds lists what CheckKind accepts.
func Kinds() []Kind { return []Kind{KindNodeJS} }

// CheckKind accepts the kinds that exist.
func CheckKind(field string, k Kind) error {
	if slices.Contains(Kinds(), k) {
		return nil
	}
	return Invalid(field, fmt.Sprintf("kind %q is not supported by this version", k), "use nodejs")
}

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

// WithDefaults fills what was left empty with the kind's defaults.
func (s Spec) WithDefaults(k Kind) Spec {
	if k == KindNodeJS {
		if s.Build == nil {
			s.Build = []string{"npm ci", "npm run build --if-present"}
		}
		if s.Start == "" {
			s.Start = "npm start"
		}
	}
	if s.HealthPath == "" {
		s.HealthPath = DefaultHealthPath
	}
	return s
}

// Check holds for a spec with its defaults.
func (s Spec) Check() error {
	if err := CheckRoot("root", s.Root); err != nil {
		return err
	}
	if err := CheckHealthPath("health_path", s.HealthPath); err != nil {
		return err
	}
	if err := CheckCommand("start", s.Start); err != nil {
		return err
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
	for name := range s.Options {
		if name != OptionDrain {
			return Invalid("option", fmt.Sprintf("there is no option %q", name), "known: "+OptionDrain)
		}
	}
	if _, err := s.drain(); err != nil {
		return Invalid("option", OptionDrain+" must be a duration of 0s to 10m", "the default is 30s")
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

// Check holds for an app before it is stored.
func (a App) Check(insecure bool) error {
	checks := []error{
		CheckAppName("name", a.Name),
		CheckKind("kind", a.Kind),
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
