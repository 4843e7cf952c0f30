// Package arch holds no code: its tests keep the house as it was drawn. They
// say which room may import which, and refuse state that belongs to nobody.
package arch
