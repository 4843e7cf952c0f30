package ui

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// ServerVerbs are the verbs about servers; all of them are asked of MeshVerbs.
type ServerVerbs interface {
	Server(ctx context.Context, actor plane.Actor, name string) (control.ServerView, error)
	PanelKey(ctx context.Context, actor plane.Actor) (string, error)
	HostKey(ctx context.Context, actor plane.Actor, address string, port int) (plane.HostKey, error)
	AddServer(ctx context.Context, actor plane.Actor, w control.ServerWish) (plane.Server, plane.Run, error)
	SurveyServer(ctx context.Context, actor plane.Actor, name string) (plane.Survey, error)
	RemoveServer(ctx context.Context, actor plane.Actor, name string, forget bool) error
}

type serversView struct {
	page
	listed
	Servers []control.ServerView
}

func (u *UI) servers(v *visit) error {
	after := v.query("after")
	shown, err := u.loadServers(v, after)
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("servers", after, 0)
	return u.show(v, "servers.html", shown)
}

func (u *UI) loadServers(v *visit, after string) (view, error) {
	all, err := u.control.Servers(v.ctx(), v.actor)
	name := func(s control.ServerView) string { return s.Name }
	all = slices.DeleteFunc(all, func(s control.ServerView) bool { return s.Name <= after })
	shown := &serversView{page: u.page(v, "Servers")}
	shown.Servers, shown.listed = cutList(all, "/servers", after, name)
	shown.Area = "servers"
	return shown, err
}

// newServerView is the form in its two steps: where the server is, and, once
// its host key is known, how to get in.
type newServerView struct {
	page
	PanelKey string
	Key      plane.HostKey // what the server shows; empty in the first step
	Private  bool          // what is typed reaches the panel unread by others
}

func (u *UI) newServer(v *visit) error {
	key, err := u.control.PanelKey(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	shown := &newServerView{page: u.page(v, "Add server"), PanelKey: key, Private: u.private(v)}
	shown.Area = "servers"
	shown.Key.Fingerprint = word(v.form, "host_key")
	if shown.Key.Fingerprint == "" && v.form.Sent() && v.form.Err == nil {
		port, err := portOf(v.form)
		if err == nil {
			shown.Key, err = u.control.HostKey(v.ctx(), v.actor, word(v.form, "address"), port)
		}
		if err != nil {
			return v.again(err, u.newServer)
		}
	}
	return u.show(v, "server-new.html", shown)
}

// addServer asks the server who it is first, and adds it once a person has
// compared that.
func (u *UI) addServer(v *visit) error {
	f := v.form
	if word(f, "host_key") == "" {
		return u.newServer(v)
	}
	port, err := portOf(f)
	if err != nil {
		return v.again(err, u.newServer)
	}
	if !f.Checked("same") {
		return v.again(plane.Invalid("same", "compare the fingerprint first", "tick the box when it is the same"), u.newServer)
	}
	wish := control.ServerWish{
		Name: word(f, "name"), Address: word(f, "address"), PrivateAddress: word(f, "private_address"), SSHPort: port, User: word(f, "user"),
		Password: f.Value("password"), SudoPassword: f.Value("sudo_password"), HostKey: word(f, "host_key"),
		Firewall: plane.Firewall(word(f, "firewall")), Adopt: f.Checked("adopt"),
	}
	if key := f.Value("key"); key != "" {
		wish.Key = []byte(key)
	}
	_, run, err := u.control.AddServer(v.ctx(), v.actor, wish)
	if err != nil {
		return v.again(err, u.newServer)
	}
	return v.see("/runs/"+run.ID, "")
}

// private tells whether nobody on the way can read what a person types.
func (u *UI) private(v *visit) bool {
	from, err := netip.ParseAddr(remote(v.r))
	return u.secure(v.r) || err == nil && from.IsLoopback()
}

func portOf(f Form) (int, error) {
	port, err := strconv.Atoi(cmp.Or(word(f, "port"), "22"))
	if err != nil || port < 1 || port > 65535 {
		return 0, plane.Invalid("port", "must be a number from 1 to 65535", "SSH's own is 22")
	}
	return port, nil
}

type serverView struct {
	page
	Server control.ServerView
	Runs   []control.RunView // newest first
	Open   *control.RunView  // that works on it now, or nil
	Key    plane.HostKey     // the pinned one
}

// Percent is how far the Run that works on it is.
func (s *serverView) Percent() int { return percent(*s.Open) }

// Gone tells whether left-overs on the server can be written off.
func (s *serverView) Gone() bool {
	return s.Server.State == plane.ServerUnreachable || s.Server.State == plane.ServerFailed
}

// Inside are the sockets that only the server itself reaches.
func (s *serverView) Inside() []plane.Socket {
	return slices.DeleteFunc(slices.Clone(s.Server.Survey.Listening), plane.Socket.Outside)
}

// Trouble is what was found that will be in the way, in words.
func (s *serverView) Trouble() []string {
	found := s.Server.Survey
	var all []string
	if taken := found.Port80Taken(); taken != "" {
		all = append(all, "Port 80 is held by "+taken+": the server can be a backend, not a primary.")
	}
	if found.AptLock != "" {
		all = append(all, "Packages are being changed by "+found.AptLock+": preparing waits for it.")
	}
	if offset := found.ClockOffset.Std().Abs(); offset > 5*time.Second {
		all = append(all, "Its clock is "+lasting(offset)+" off: let it be set by NTP.")
	}
	if found.MemoryMiB > 0 && found.MemoryMiB < 1024 && found.SwapMiB == 0 {
		all = append(all, "It has little memory and no swap: a build may be ended for want of it.")
	}
	return all
}

// Outside are the sockets that other machines reach.
func (s *serverView) Outside() []plane.Socket {
	return slices.DeleteFunc(slices.Clone(s.Server.Survey.Listening), func(l plane.Socket) bool { return !l.Outside() })
}

func (u *UI) server(v *visit) error {
	shown, err := u.loadServer(v, v.path("name"))
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("server", v.path("name"), 0)
	return u.show(v, "server.html", shown)
}

func (u *UI) loadServer(v *visit, name string) (view, error) {
	s, err := u.control.Server(v.ctx(), v.actor, name)
	if err != nil {
		return nil, err
	}
	shown := &serverView{page: u.page(v, s.Name), Server: s}
	shown.Area = "servers"
	shown.Key.Fingerprint, shown.Key.Type = s.Fingerprint()
	shown.Runs, err = u.control.Runs(v.ctx(), v.actor, control.RunFilter{Server: name, Limit: recentShown})
	for _, r := range shown.Runs {
		if !r.State.Ended() && (shown.Open == nil || r.State == plane.RunRunning) {
			shown.Open = &r // what works comes before what waits
		}
	}
	return shown, err
}

func (u *UI) provisionServer(v *visit) error {
	run, err := u.control.ProvisionServer(v.ctx(), v.actor, v.path("name"))
	if err != nil {
		return v.again(err, u.server)
	}
	return v.see("/runs/"+run.ID, "")
}

// surveyServer looks again, within the request: it takes a second or two.
func (u *UI) surveyServer(v *visit) error {
	if _, err := u.control.SurveyServer(v.ctx(), v.actor, v.path("name")); err != nil {
		return v.again(err, u.server)
	}
	return v.see("/servers/"+url.PathEscape(v.path("name")), "surveyed")
}

type panelKeyView struct {
	page
	Key string
}

// panelKey shows what a server must let in before it is added without a password.
func (u *UI) panelKey(v *visit) error {
	key, err := u.control.PanelKey(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	shown := &panelKeyView{page: u.page(v, "The panel's key"), Key: key}
	shown.Area = "servers"
	return u.show(v, "panel-key.html", shown)
}

func (u *UI) removeServer(v *visit) error {
	name := v.path("name")
	if err := v.confirmed(name); err != nil {
		return v.again(err, u.server)
	}
	if err := u.control.RemoveServer(v.ctx(), v.actor, name, v.form.Checked("forget")); err != nil {
		return v.again(err, u.server)
	}
	return v.see("/servers", "removed")
}
