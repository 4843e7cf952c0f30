package files

// Places on a managed server. The functions join words and check nothing: give them names that
// plane, or an encoder of this room, has accepted.

// Places that exist once per server.
const (
	PanelPath   = "/etc/serverplane/panel"                     // id of the managing panel, one line; 0644 root
	GuardPath   = "/usr/local/lib/serverplane/guard"           // the guarded-change program; 0755 root
	SwitchPath  = "/usr/local/lib/serverplane/switch"          // makes a slot live; 0755 root
	NginxRoot   = "/etc/nginx"                                 // what nginx.File paths are relative to
	LiveDir     = "/var/lib/serverplane/live"                  // slot markers; 0755, for Nginx's workers look into it
	ManifestDir = "/var/lib/serverplane/apps"                  // 0700 root
	AppsDir     = "/etc/serverplane/apps"                      // 0755 root
	SudoersPath = "/etc/sudoers.d/serverplane"                 // 0440 root
	SSHDPath    = "/etc/ssh/sshd_config.d/10-serverplane.conf" // 0644 root
	SysctlPath  = "/etc/sysctl.d/60-serverplane.conf"          // 0644 root
	UnitDir     = "/etc/systemd/system"
)

// Login is the user the panel signs in as on every server.
const Login = "serverplane"

// UserName is the system user an app runs as: at most 27 characters, of the 32 that are allowed.
func UserName(app string) string { return "sp_" + app }

// UnitName is the systemd unit of one slot's process.
func UnitName(app, slot string) string { return "sp-" + app + "-" + slot + ".service" }

// UnitPath is where the slot's unit is written; 0644 root.
func UnitPath(app, slot string) string { return UnitDir + "/" + UnitName(app, slot) }

// TransientUnit names the unit that one run's long step works under. Run ids hold an underscore
// and app names do not, so that it can never be the name of another app's slot.
func TransientUnit(app, run string) string { return "sp-" + app + "-run-" + run }

// GapUnit names the transient unit that lives as long as it is announced that nobody answers for the app.
func GapUnit(app string) string { return "sp-" + app + "_gap.service" }

// StoppedPath names the transient unit that was stopped last, so that it does not begin after all
// where the step that is about to start it outlives its Run; 0644 root.
func StoppedPath(app string) string { return "/run/serverplane/" + app + ".stopped" }

// Home is the app user's folder; 1770 root:sp_<app>, as are the three in it: the app's user writes
// there and cannot put a link in their place.
func Home(app string) string { return "/home/" + UserName(app) }

// ReleasesDir holds the app's releases.
func ReleasesDir(app string) string { return Home(app) + "/releases" }

// ReleaseDir is one built commit.
func ReleaseDir(app, release string) string { return ReleasesDir(app) + "/" + release }

// SharedDir outlives releases.
func SharedDir(app string) string { return Home(app) + "/shared" }

// LogsDir is for the logs an app writes itself.
func LogsDir(app string) string { return Home(app) + "/logs" }

// ConfigDir holds the folders of both slots; 0750 root:sp_<app>.
func ConfigDir(app string) string { return AppsDir + "/" + app }

// SlotDir holds what belongs to one slot; 0750 root:sp_<app>.
func SlotDir(app, slot string) string { return ConfigDir(app) + "/" + slot }

// EnvPath is the slot's variables (see Env); 0600 root: systemd reads it before it becomes the
// app's user.
func EnvPath(app, slot string) string { return SlotDir(app, slot) + "/env" }

// StartPath is the slot's start script (see StartScript); 0640 root:sp_<app>: it is read by the
// app's own user, who must not be able to change it.
func StartPath(app, slot string) string { return SlotDir(app, slot) + "/start" }

// BuildPath is the slot's build script (see Script); 0640 root:sp_<app>.
func BuildPath(app, slot string) string { return SlotDir(app, slot) + "/build" }

// WebPath is the configuration of the Nginx in a slot, for kinds that have one; 0640 root:sp_<app>.
func WebPath(app, slot string) string { return SlotDir(app, slot) + "/nginx.conf" }

// FPMPath is the configuration of the slot's php-fpm (see FPM); 0640 root:sp_<app>.
func FPMPath(app, slot string) string { return SlotDir(app, slot) + "/php-fpm.conf" }

// ScratchDir is the slot's folder in memory while it runs, for kinds that need one; 0700 sp_<app>.
func ScratchDir(app, slot string) string { return "/run/sp-" + app + "-" + slot }

// ManifestPath is the list of what was created for the app (see Manifest); 0600 root.
func ManifestPath(app string) string { return ManifestDir + "/" + app + ".json" }

// LiveMarker moves the app to slot b while a file is there; only on the primary. While a reload
// is announced it is a link to a folder that is named after the slot (playbooks/guard).
func LiveMarker(app string) string { return LiveDir + "/" + app + ".b" }
