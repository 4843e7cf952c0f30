// Package tail reads what an app and Nginx wrote on a server: the last lines,
// and those that follow for as long as somebody reads them. It changes nothing.
package tail
