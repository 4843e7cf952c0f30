package plane

import "time"

// Method is how the entry picks a backend.
type Method string

// The methods of the founding document.
const (
	RoundRobin       Method = "round-robin"
	LeastConnections Method = "least-connections"
	IPHash           Method = "ip-hash"
)

// CheckMethod accepts the three methods.
func CheckMethod(field string, m Method) error {
	switch m {
	case RoundRobin, LeastConnections, IPHash:
		return nil
	}
	return Invalid(field, "must be round-robin, least-connections or ip-hash", "round-robin suits stateless apps")
}

// BalancerStatus is how far the wish to balance is in force.
type BalancerStatus string

// The states of a load balancer.
const (
	BalancerOff      BalancerStatus = "off"
	BalancerApplying BalancerStatus = "applying"
	BalancerOn       BalancerStatus = "on"
	BalancerFailed   BalancerStatus = "failed"
)

// LoadBalancer is an app's method and health check; its backends are rows of
// their own.
type LoadBalancer struct {
	Status BalancerStatus
	Reason string
	Method Method
	Health HealthCheck
	// NameHeader lets answers name the backend that gave them, in X-Served-By; off
	// by default, for it tells strangers the names of servers.
	NameHeader bool
}

// NewLoadBalancer is the load balancer an app begins with: off, with the
// defaults of product.md section 6.
func NewLoadBalancer() LoadBalancer {
	return LoadBalancer{Status: BalancerOff, Method: RoundRobin, Health: HealthCheck{
		Interval: Duration(10 * time.Second), Timeout: Duration(5 * time.Second), Fall: 2, Rise: 2,
	}}
}

// HealthCheck says how often and how patiently backends are probed.
type HealthCheck struct {
	Interval Duration `json:"interval"`
	Timeout  Duration `json:"timeout"`
	Fall     int      `json:"fall"` // failures in a row to become unhealthy
	Rise     int      `json:"rise"` // passes in a row to become healthy
	// TakeOut lets the panel keep unhealthy backends out of the upstream by
	// itself; off by default. Floor is how many serving backends must stay in: at
	// fewer none is kept out (fail-open). 0 means 1.
	TakeOut bool `json:"take_out,omitempty"`
	Floor   int  `json:"floor,omitempty"`
}

// Check holds the limits of product.md section 6.
func (h HealthCheck) Check() error {
	switch {
	case h.Interval.Std() < time.Second || h.Interval.Std() > 5*time.Minute:
		return Invalid("interval", "must be 1s to 5m", "the default is 10s")
	case h.Timeout.Std() < 100*time.Millisecond || h.Timeout > h.Interval:
		return Invalid("timeout", "must be at least 100ms and at most the interval", "the default is 5s")
	case h.Fall < 1 || h.Fall > 10:
		return Invalid("fall", "must be 1 to 10", "the default is 2")
	case h.Rise < 1 || h.Rise > 10:
		return Invalid("rise", "must be 1 to 10", "the default is 2")
	case h.Floor < 0 || h.Floor > 100:
		return Invalid("floor", "must be 0 to 100", "the default is 1")
	}
	return nil
}
