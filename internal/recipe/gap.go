package recipe

import (
	"strconv"
	"time"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/nginx"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// AnnounceGap has a server's Nginx tell visitors that the app is being restarted, from the command's end until EndGap. The
// server itself ends it after the limit, or by losing power: an announcement that outlives its panel must not hide a fault for long.
func AnnounceGap(a plane.App, limit time.Duration) remote.Command {
	const script = `systemctl stop --quiet "$1" 2>/dev/null
exec systemd-run --quiet --collect --unit="$1" --service-type=exec --property=RuntimeDirectory="$2" sleep "$3"`
	seconds := strconv.Itoa(int(limit.Seconds()))
	return remote.Command{Args: []string{"sh", "-c", script, "sh", files.GapUnit(a.Name), nginx.GapFolder(a.Name), seconds}, Sudo: true}
}

// EndGap takes the announcement back, and is content where there is none.
func EndGap(a plane.App) remote.Command {
	return remote.Command{Args: []string{"sh", "-c", `systemctl stop --quiet "$1" 2>/dev/null; exit 0`, "sh", files.GapUnit(a.Name)}, Sudo: true}
}
