package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/reply"
)

// describe configures the library: none of its own routes (they would be
// anonymous, and its documentation page loads from elsewhere), no link fields,
// and every error in our form.
func (a *API) describe(version string) huma.Config {
	c := huma.DefaultConfig("ServerPlane", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{a.toProblem}
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}

// unmarshal refuses what encoding/json would change silently: values must
// arrive byte for byte.
func unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("is not UTF-8 text")
	}
	return json.Unmarshal(data, v)
}

type describeOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) routeDescription() {
	text := sync.OnceValues(func() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) })
	op := get("/openapi.json", "This description (OpenAPI 3.1).")
	op.Hidden = true
	register(a, auth.PanelRead, op, func(context.Context, plane.Actor, *struct{}) (*describeOutput, error) {
		raw, err := text()
		return &describeOutput{ContentType: "application/openapi+json", Body: raw}, err
	})
}

// errorsOf describes the one form every error has.
func (a *API) errorsOf() map[string]*huma.Response {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[reply.Problem](), true, "Problem")
	return map[string]*huma.Response{"default": {
		Description: "Error",
		Content:     map[string]*huma.MediaType{reply.ContentType: {Schema: schema}},
	}}
}

func get(path, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodGet, Path: path, Summary: summary}
}

func post(path, summary string, status int) huma.Operation {
	return huma.Operation{Method: http.MethodPost, Path: path, Summary: summary, DefaultStatus: status}
}

func patch(path, summary string, status int) huma.Operation {
	return huma.Operation{Method: http.MethodPatch, Path: path, Summary: summary, DefaultStatus: status}
}

func remove(path, summary string, status int) huma.Operation {
	return huma.Operation{Method: http.MethodDelete, Path: path, Summary: summary, DefaultStatus: status}
}
