package ui

import (
	"fmt"
	"regexp"
	"strings"
)

// deeds are the audit log's words in a person's.
var deeds = map[string]string{
	"app.create": "App created", "app.deploy": "Deployment asked for", "app.remove": "App removed", "app.rollback": "Rolled back", "app.set": "App changed",
	"backend.add": "Backend added", "backend.off": "Backend switched off", "backend.on": "Backend switched on", "backend.remove": "Backend removed",
	"backend.repair": "Backend repaired", "backend.set": "Share of a backend changed", "env.apply": "Variables applied", "env.reveal": "Variables' values shown",
	"env.set": "Variables set", "env.unset": "Variables removed", "lb.disable": "Load Balancer disabled", "lb.enable": "Load Balancer enabled",
	"process.set": "Process set", "process.move": "Process moved", "process.remove": "Process removed", "cron.set": "Cron entry set",
	"cron.move": "Cron entry moved", "cron.remove": "Cron entry removed",
	"lb.set": "Load Balancer changed", "panel.set-up": "Panel set up", "run.cancel": "Run cancelled", "server.add": "Server added",
	"server.provision": "Server prepared again", "server.remove": "Server removed", "session.create": "Signed in", "session.refuse": "Sign-in refused", "session.end": "Signed out",
	"session.revoke": "Session ended", "token.create": "API token created", "token.revoke": "API token revoked", "user.create": "User created",
	"user.remove": "User removed", "user.set-role": "Role changed", "user.change-password": "Password changed",
	"db.create": "Database created", "db.set": "Database changed", "db.backup": "Database dumped", "db.restore": "Database restored", "db.remove": "Database removed",
}

// deed is an action of the audit log for a person.
func deed(action string) string {
	if known := deeds[action]; known != "" {
		return known
	}
	noun, verb, _ := strings.Cut(action, ".")
	return strings.TrimSuffix(sentence(noun+": "+verb), ".")
}

var idPattern = regexp.MustCompile(`^[a-z]{3}_[a-z0-9]{6,32}$`)

// isID tells an id of the panel's from a name; with a prefix, one of that kind.
func isID(text, prefix string) bool {
	return idPattern.MatchString(text) && (prefix == "" || strings.HasPrefix(text, prefix+"_"))
}

// browsers by what only they call themselves; Edge calls itself Chrome as well,
// and Chrome Safari.
var browsers = []struct{ mark, name string }{
	{"Firefox/", "Firefox"}, {"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"}, {"curl/", "curl"},
}

var systems = []struct{ mark, name string }{
	{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
}

var versionPattern = regexp.MustCompile(`^[0-9]{1,4}`)

// agentName is a browser in a few words: "Firefox 140 on Linux". One that is not
// known stays as it calls itself.
func agentName(agent string) string {
	for _, b := range browsers {
		_, after, found := strings.Cut(agent, b.mark)
		if !found {
			continue
		}
		name := strings.TrimSpace(b.name + " " + versionPattern.FindString(after))
		for _, s := range systems {
			if strings.Contains(agent, s.mark) {
				return name + " on " + s.name
			}
		}
		return name
	}
	if agent == "" {
		return "not told"
	}
	return agent
}

// size is an amount of memory or disk.
func size(mib int) string {
	if mib < 1024 {
		return fmt.Sprintf("%d MiB", mib)
	}
	return strings.Replace(fmt.Sprintf("%.1f GiB", float64(mib)/1024), ".0 ", " ", 1)
}

// weight is what something takes on a disk, from a file of a few bytes on.
func weight(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return plural(int(bytes), "byte")
	case bytes < 1<<20:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return size(int(bytes >> 20))
}
