package plane

// Visitor is who asks before anyone is known: what the panel may say of a
// request that signs in.
type Visitor struct {
	From  string // remote address
	Agent string // what the browser calls itself
}
