package webtest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// BackendHistory answers one change and one minute.
func (p *Panel) BackendHistory(_ context.Context, _ plane.Actor, app, server string, w control.HistoryWish) (control.HistoryView, error) {
	p.about("BackendHistory", app)
	return control.HistoryView{
		Changes: []plane.HealthChange{{
			At: At(), Was: plane.BackendHealthy, Became: plane.BackendUnhealthy, Vantage: "s1, by curl", Answer: "HTTP 404", Reason: "answered 404",
		}},
		Minutes: []plane.HealthMinute{{
			Minute: plane.Minute(At()), Probes: 6, Failures: 2, Blind: 1, Latency: 12 * time.Millisecond, Slowest: 40 * time.Millisecond,
		}},
	}, p.called("BackendHistory", w)
}
