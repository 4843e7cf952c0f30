package nginx

import "fmt"

// Refusal says which field of a Tree was not accepted and the rule it broke.
// The text is fit for the person who typed the value; nothing was rendered.
type Refusal struct {
	Field string // path of the value, such as "sites[web].entry.names[0]"
	Rule  string // what would be accepted
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Field, r.Rule) }

func refuse(field, rule string) error { return &Refusal{Field: field, Rule: rule} }
