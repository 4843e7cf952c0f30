package files

// Sudoers lets the panel's login become root: building servers is what it is for. See
// SudoersPath.
const Sudoers = `# Written by ServerPlane; changes made by hand are replaced.
Defaults:serverplane !requiretty
serverplane ALL=(ALL:ALL) NOPASSWD: ALL
`

// SSHD lets the panel's login forward to ports of the server, for health checks from the
// entry's own place in the network, and wins over a global prohibition. "Match all" ends the
// block, since the text of later files would otherwise belong to it. See SSHDPath.
const SSHD = `# Written by ServerPlane; changes made by hand are replaced.
Match User serverplane
    AllowTcpForwarding local
Match all
`

// Sysctl lets Nginx and databases bind to addresses that are not up yet; without it a reboot in
// the wrong order leaves no Nginx at all. The leading hyphen forgives a kernel without IPv6. See
// SysctlPath.
const Sysctl = `# Written by ServerPlane; changes made by hand are replaced.
net.ipv4.ip_nonlocal_bind = 1
-net.ipv6.ip_nonlocal_bind = 1
`
