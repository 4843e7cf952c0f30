// Package remote reaches servers over SSH connections that are held open: it runs commands, follows their output, opens
// connections from a server's own place in the network, and carries out guarded changes of a server's Nginx tree.
//
// A server is known by one pinned host key; anything else that answers stops the call with [KindHostKey]. Every error that is
// about reaching or being heard is an [*Error] whose [Kind] says whose failure it is, so that a failure of our own side is never
// taken for one of the thing we looked at.
package remote
