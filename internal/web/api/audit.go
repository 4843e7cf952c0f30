package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
)

// AuditVerbs tell who did what.
type AuditVerbs interface {
	Audits(ctx context.Context, actor plane.Actor, before string, limit int) ([]plane.Audit, error)
}

type auditsOutput struct{ Body client.List[client.Audit] }

func (a *API) routeAudits() {
	register(a, auth.AuditRead, get("/audits", "Who did what, newest first."), a.audits)
}

func (a *API) audits(ctx context.Context, actor plane.Actor, in *PageQuery) (*auditsOutput, error) {
	all, err := a.control.Audits(ctx, actor, in.Before, in.Limit)
	id := func(x plane.Audit) string { return x.ID }
	return &auditsOutput{Body: paged(all, in.Limit, wireAudit, id)}, err
}

func wireAudit(x plane.Audit) client.Audit {
	return client.Audit{
		ID: x.ID, Time: x.Time.UTC(), Actor: x.Email, From: x.From, Action: x.Action, Subject: x.Subject, Detail: x.Detail,
	}
}
