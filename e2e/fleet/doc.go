// Package fleet makes real Debian servers on one machine for the end-to-end stories: each has its own systemd, sshd, ufw,
// network namespace and address, is reached over SSH like a rented server, and can lose its power or its network.
//
// A server is an overlay on a base image that is made once with mmdebstrap and shared by all runs, booted with
// systemd-nspawn on the fleet's own bridge. Addresses come from 198.18.0.0/15, which is reserved for testing. Everything a
// fleet makes carries its random id, so several fleets live side by side, Close leaves nothing behind, and New clears away
// what a crashed run has left. The package needs root, and the tools that `make setup` installs; it imports nothing of
// ServerPlane.
package fleet
