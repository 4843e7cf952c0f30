package client

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"
)

// Variable is an environment variable of an app; Value is there only when
// revealed.
type Variable struct {
	Name      string    `json:"name"`
	Value     *string   `json:"value,omitempty"`
	Length    int       `json:"length" doc:"bytes of the value"`
	UpdatedAt time.Time `json:"updated_at"`
	Computed  string    `json:"computed,omitempty" doc:"what ServerPlane makes it from; it may differ by server"`
}

// Variables are values by name.
type Variables struct {
	Values map[string]string `json:"values"`
}

// VariableNames names variables.
type VariableNames struct {
	Names []string `json:"names" nullable:"false"`
}

// SetVariables records variables; ApplyVariables puts them in force. Values
// must be UTF-8 text: JSON would change other bytes silently.
func (c *Client) SetVariables(ctx context.Context, app string, values map[string]string) error {
	for name, v := range values {
		if !utf8.ValidString(v) || !utf8.ValidString(name) {
			return fmt.Errorf("%q: the value must be UTF-8 text; encode binary values, for example with base64", name)
		}
	}
	return c.call(ctx, "PATCH", join("apps", app, "variables"), nil, Variables{Values: values}, nil)
}

// UnsetVariables removes variables; ApplyVariables puts it in force.
func (c *Client) UnsetVariables(ctx context.Context, app string, names []string) error {
	return c.call(ctx, "POST", join("apps", app, "variables", "unset"), nil, VariableNames{Names: names}, nil)
}

// Variables lists the variables without their values.
func (c *Client) Variables(ctx context.Context, app string) (List[Variable], error) {
	return fetch[List[Variable]](ctx, c, "GET", join("apps", app, "variables"), nil, nil)
}

// RevealVariables lists the variables with their values.
func (c *Client) RevealVariables(ctx context.Context, app string) (List[Variable], error) {
	return fetch[List[Variable]](ctx, c, "GET", join("apps", app, "variables", "reveal"), nil, nil)
}

// ApplyVariables deploys the live commit with the recorded variables. Without a
// difference no Run is started and Run is nil.
func (c *Client) ApplyVariables(ctx context.Context, app string, w Consent) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "POST", join("apps", app, "variables", "apply"), nil, w)
}
