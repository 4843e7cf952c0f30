package files

import "fmt"

// Refusal says which field was not accepted and the rule it broke. The text never holds a
// variable's value, which may be a secret.
type Refusal struct {
	Field string // name of the value, such as "slot" or "variables[DB_HOST]"
	Rule  string // what would be accepted
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Field, r.Rule) }

func refuse(field, rule string) error { return &Refusal{Field: field, Rule: rule} }
