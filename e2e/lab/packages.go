package lab

// Packages are those that the panel installs on a server and for a Node.js
// app. A fleet that brings them saves a story that is not about a first
// installation a minute for each; the panel finds them and goes on.
func Packages() []string {
	return []string{
		"nginx", "ufw", "python3", "rsync", "curl", "acl", "git", "cron", "ca-certificates", "sudo", "logrotate", // provisioning
		"nodejs", "npm",
	}
}
