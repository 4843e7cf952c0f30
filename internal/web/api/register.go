package api

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/reply"
)

const (
	bodyTime = 30 * time.Second // to send a request's body
	bodySize = 1 << 20          // bytes of one, unless the route says otherwise
)

// Route is one registered operation and what it demands.
type Route struct {
	Method     string
	Path       string // with the prefix, names in braces
	Permission auth.Permission
}

// Routes lists every operation, for the test that walks them.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// handler is one operation; the actor is known and may do it.
type handler[I, O any] func(ctx context.Context, actor plane.Actor, in *I) (*O, error)

// register is the one way to a route.
func register[I, O any](a *API, p auth.Permission, op huma.Operation, h handler[I, O]) {
	op.OperationID = operationID(op)
	op.Path = Prefix + op.Path
	op.BodyReadTimeout = bodyTime
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = bodySize
	}
	op.Responses = a.errorsOf()
	op.Middlewares = huma.Middlewares{a.guard(p)}
	a.routes = append(a.routes, Route{Method: op.Method, Path: op.Path, Permission: p})
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		actor, ok := ctx.Value(actorKey{}).(plane.Actor)
		if !ok {
			return nil, reply.Of(ctx, a.log, errors.New("an operation was reached without its guard"))
		}
		out, err := h(ctx, actor, in)
		if err != nil {
			return nil, reply.Of(ctx, a.log, err)
		}
		return out, nil
	})
}

// operationID is made of method and path, so that it cannot be forgotten.
func operationID(op huma.Operation) string {
	path := strings.NewReplacer("{", "", "}", "", ".", "-", "/", "-").Replace(op.Path)
	return strings.ToLower(op.Method) + path
}

type actorKey struct{}

// guard decides who asks and whether they may.
func (a *API) guard(p auth.Permission) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		actor, err := a.admit(ctx, p)
		if err == nil {
			err = readable(ctx.URL())
		}
		if err != nil {
			_, w := humago.Unwrap(ctx)
			reply.Write(w, reply.Of(ctx.Context(), a.log, err))
			return
		}
		next(huma.WithValue(ctx, actorKey{}, actor))
	}
}

// admit tells who asks, if they may; what answers for long asks it again.
func (a *API) admit(ctx huma.Context, p auth.Permission) (plane.Actor, error) {
	actor, err := a.authenticate(ctx)
	if err == nil && !auth.Allow(actor.Role, p) {
		err = &plane.Error{Code: plane.CodeForbidden, Message: "your role may not do this", Hint: "it needs the permission " + string(p)}
	}
	return actor, err
}

// readable refuses bytes that no name or id has, in path and query: one database
// would look for them, the other call them an error of its own.
func readable(u url.URL) error {
	query, err := url.QueryUnescape(u.RawQuery)
	for field, text := range map[string]string{"path": u.Path, "query": query} {
		if err != nil || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return plane.Invalid(field, "holds bytes that are not text", "send UTF-8 without NUL")
		}
	}
	return nil
}

func (a *API) authenticate(ctx huma.Context) (plane.Actor, error) {
	scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return plane.Actor{}, &plane.Error{Code: plane.CodeUnauthorized, Message: "a token is needed", Hint: "send Authorization: Bearer TOKEN"}
	}
	from, _, err := net.SplitHostPort(ctx.RemoteAddr())
	if err != nil {
		from = ctx.RemoteAddr()
	}
	return a.control.Authenticate(ctx.Context(), strings.TrimSpace(token), from)
}
