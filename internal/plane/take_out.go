package plane

// KeptOut decides which of an app's backends automatic take-out keeps out of
// the upstream, by id. An unhealthy one is out until it is healthy again; what
// the panel cannot see changes nothing, neither out nor back. Where fewer than
// the floor would be left in, none is kept out (fail-open): a backend that may
// answer is worth more to a visitor than an empty upstream.
func (h HealthCheck) KeptOut(all []Backend) map[string]bool {
	out, left := map[string]bool{}, 0
	if !h.TakeOut {
		return out
	}
	for _, b := range all {
		switch {
		case !b.Serving():
		case b.Health.State == BackendUnhealthy, b.TakenOut && b.Health.State != BackendHealthy:
			out[b.ID] = true
		default:
			left++
		}
	}
	if left < max(h.Floor, 1) {
		clear(out)
	}
	return out
}

// WhyBack says why a backend is no longer kept out.
func (h HealthCheck) WhyBack(b Backend) string {
	switch {
	case !h.TakeOut:
		return "automatic take-out is off"
	case b.Health.State == BackendHealthy:
		return "healthy again"
	case !b.Serving():
		return "it does not serve any more"
	}
	return "too few others would be left: all stay in"
}
