package ui

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// BackendVerbs are the verbs that bring a backend, change its share and take it away.
type BackendVerbs interface {
	AddBackend(ctx context.Context, actor plane.Actor, app string, w control.BackendWish) (plane.Run, error)
	SetBackend(ctx context.Context, actor plane.Actor, app, server string, ch control.BackendChange) (control.Steered, error)
	SwitchOn(ctx context.Context, actor plane.Actor, app, server string) (control.Steered, error)
	SwitchOff(ctx context.Context, actor plane.Actor, app, server string, yes bool) (control.Steered, error)
	RemoveBackend(ctx context.Context, actor plane.Actor, app, server string, w control.RemoveWish) (plane.Run, error)
}

// CareVerbs are the verbs that look at one backend and set it right.
type CareVerbs interface {
	CheckBackend(ctx context.Context, actor plane.Actor, app, server string) (plane.Probe, error)
	RepairBackend(ctx context.Context, actor plane.Actor, app, server string) (plane.Run, error)
	BackendHistory(ctx context.Context, actor plane.Actor, app, server string, w control.HistoryWish) (control.HistoryView, error)
}

// backendView is one backend's page and the pages of what can be done to it.
type backendView struct {
	balancerPage
	Line    backendLine
	Run     *control.RunView // the newest that worked on it, or nil
	Steps   []Step
	Said    []saidLine   // what that Run measured
	Probe   *plane.Probe // asked for just now
	Then    []shift      // of what is about to be done
	Told    []string
	Past    past
	Served  servedView
	Did     servedPast
	Was     control.Seen // weight and backup as the form was filled
	Changes []change
}

// Here is the backend's own address.
func (b *backendView) Here() string { return backendHome(b.App.Name, b.Line.ServerName) }

// Consent tells that control asks for a person's word, at the field yes.
func (b *backendView) Consent() bool { return b.Form.At("yes") != nil || b.Form.Checked("yes") }

func backendHome(app, server string) string {
	return balancerHome(app) + "/backends/" + url.PathEscape(server)
}

// backendOf begins the view of a page about one backend.
func (u *UI) backendOf(v *visit, app, server, title string) (*backendView, error) {
	p, err := u.balancerPage(v, app, title)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(p.Lines, func(l backendLine) bool { return l.ServerName == server })
	if i < 0 {
		return nil, plane.NotFound("backend of "+app+" on a server", server)
	}
	return &backendView{balancerPage: p, Line: p.Lines[i], Was: control.SeenShare(p.Lines[i].Backend)}, nil
}

func (u *UI) backend(v *visit) error {
	app, server := v.path("name"), v.path("server")
	shown, err := u.readBackend(v, app, server)
	if err != nil {
		return err
	}
	if err := u.addPast(v, shown, v.query("reach")); err != nil {
		return err
	}
	shown.Stream = streamOf("backend", app+"/"+server, 0)
	return u.show(v, "backend.html", shown)
}

// loadBackend is the stream's: of is "app/server", neither of which has a slash.
func (u *UI) loadBackend(v *visit, of string) (view, error) {
	app, server, _ := strings.Cut(of, "/")
	return u.readBackend(v, app, server)
}

func (u *UI) readBackend(v *visit, app, server string) (*backendView, error) {
	shown, err := u.backendOf(v, app, server, server+" of "+app)
	if err != nil {
		return nil, err
	}
	if shown.Served, err = u.servedOf(v, app); err != nil {
		return nil, err
	}
	return shown, u.addRun(v, shown)
}

// addPast adds what is drawn; it is not kept fresh.
func (u *UI) addPast(v *visit, shown *backendView, reach string) (err error) {
	app, server := shown.App.Name, shown.Line.ServerName
	if shown.Past, err = u.pastOf(v, app, server, reach); err != nil {
		return err
	}
	shown.Did, err = u.servedPastOf(v, app, server, shown.Past.Reach)
	return err
}

// addRun adds the newest Run that worked on the backend: while it is under way,
// or if it did not end well.
func (u *UI) addRun(v *visit, shown *backendView) error {
	i := slices.IndexFunc(shown.Runs, func(r control.RunView) bool { return r.BackendID == shown.Line.ID })
	if i < 0 || shown.Runs[i].State == plane.RunSucceeded {
		return nil
	}
	run := shown.Runs[i]
	begun, last, err := u.control.RunSteps(v.ctx(), v.actor, run.ID)
	if err != nil {
		return err
	}
	lines, err := u.control.Events(v.ctx(), v.actor, run.ID, max(0, last-logShown), 0)
	shown.Run, shown.Steps, shown.Said = &run, withWaiting(run, u.stepsOf(run, begun)), saidBy(lines)
	return err
}

// additionSteps are the steps of a Run that adds a backend, so that those to
// come are seen beforehand; what the Run itself calls a step counts.
func additionSteps() []string {
	return []string{"preflight", "build and start the live commit", "ask the new backend from the entry's place", "keep it at boot", "let it into the upstream"}
}

// withWaiting adds the steps to come, where they are known. An app with a
// database has steps of its own between them.
func withWaiting(r control.RunView, begun []Step) []Step {
	if r.Kind != plane.RunAdd || r.State.Ended() {
		return begun
	}
	known, next := additionSteps(), 0
	for _, s := range begun {
		if i := slices.Index(known, s.Text); i >= 0 {
			next = i + 1
		}
	}
	for _, text := range known[next:] {
		begun = append(begun, Step{Text: text, Look: "off"})
	}
	return begun
}

// saidLine is one thing a Run measured: a tick, a warning or what stopped it.
type saidLine struct{ Look, Server, Text string }

// saidBy are the lines in which a Run tells what it measured.
func saidBy(lines []plane.Event) []saidLine {
	var said []saidLine
	for _, e := range lines {
		warned, warning := strings.CutPrefix(e.Text, "warning: ")
		switch {
		case e.Kind == plane.EventError:
			said = append(said, saidLine{"bad", e.Server, e.Text})
		case e.Kind == plane.EventLog && warning:
			said = append(said, saidLine{"warn", e.Server, warned})
		case e.Kind == plane.EventLog:
			said = append(said, saidLine{"good", e.Server, e.Text})
		}
	}
	return said
}

type newBackendView struct {
	balancerPage
	Free []freeServer
}

// freeServer is a server that may become a backend, or why it may not.
type freeServer struct {
	Name, Address, OS string
	Why               string // why it cannot be chosen, or empty
}

func (u *UI) newBackend(v *visit) error {
	p, err := u.balancerPage(v, v.path("name"), "Add backend")
	if err != nil {
		return err
	}
	servers, err := u.control.Servers(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	return u.show(v, "backend-new.html", &newBackendView{balancerPage: p, Free: freeServers(p, servers)})
}

// freeServers leaves out what serves the app already. Control decides who may
// join; what is told here saves a vain try.
func freeServers(p balancerPage, all []control.ServerView) []freeServer {
	serves := map[string]bool{}
	for _, l := range p.Lines {
		serves[l.ServerName] = l.Primary || l.Placed || l.Removing
	}
	var free []freeServer
	for _, s := range all {
		if serves[s.Name] {
			continue
		}
		f := freeServer{Name: s.Name, Address: s.PrivateAddress.String(), OS: s.Survey.OS}
		if s.State != plane.ServerReady {
			f.Why = "is " + string(s.State) + ", not ready"
		}
		free = append(free, f)
	}
	return free
}

func (u *UI) addBackend(v *visit) error {
	weight, err := v.form.number("weight")
	if err != nil {
		return v.again(err, u.newBackend)
	}
	wish := control.BackendWish{Server: v.form.Value("server"), Weight: *weight, Backup: v.form.Checked("backup"), Acknowledge: v.form.Values["acknowledge"]}
	if *weight == 0 { // which the verb would take for "not said"
		return v.again(plane.CheckWeight(0), u.newBackend)
	}
	if wish.Server == "" {
		return v.again(plane.Invalid("server", "must be chosen", "a server that does not serve the app yet"), u.newBackend)
	}
	if _, err := u.control.AddBackend(v.ctx(), v.actor, v.path("name"), wish); err != nil {
		return v.again(err, u.newBackend)
	}
	return v.see(backendHome(v.path("name"), wish.Server), "")
}

// continueBackend goes on with an addition that did not get to its end.
func (u *UI) continueBackend(v *visit) error {
	b, err := u.backendOf(v, v.path("name"), v.path("server"), "")
	if err != nil {
		return err
	}
	wish := control.BackendWish{Server: b.Line.ServerName, Weight: b.Line.Weight, Backup: b.Line.Backup}
	if _, err := u.control.AddBackend(v.ctx(), v.actor, v.path("name"), wish); err != nil {
		return v.again(err, u.backend)
	}
	return v.see(b.Here(), "")
}

func (u *UI) switchOn(v *visit) error {
	done, err := u.control.SwitchOn(v.ctx(), v.actor, v.path("name"), v.path("server"))
	return v.steered(done, err, balancerHome(v.path("name")), u.backend)
}

// switchOffPage shows what switching it off does, and asks for the person's word
// where control does.
func (u *UI) switchOffPage(v *visit) error {
	shown, err := u.leaving(v, "Switch off")
	if err != nil {
		return err
	}
	shown.Told = append(shown.Told, "Requests under way on it end as they began. It stays deployed and takes part in deployments, and comes back within a second when it is switched on.")
	return u.show(v, "backend-off.html", shown)
}

// leaving is a backend with the shares as they would be without it.
func (u *UI) leaving(v *visit, title string) (*backendView, error) {
	shown, err := u.backendOf(v, v.path("name"), v.path("server"), title+" "+v.path("server"))
	if err != nil {
		return nil, err
	}
	then := with(shown.LB, shown.Line.ServerName, func(b *plane.Backend) { b.Enabled = false })
	shown.Then = shiftsOf(shown.Lines, linesOf(then, shown.App.LiveID))
	shown.Told = []string{whoMoves(shown.LB.Method, shown.Then)}
	return shown, nil
}

func (u *UI) switchOff(v *visit) error {
	done, err := u.control.SwitchOff(v.ctx(), v.actor, v.path("name"), v.path("server"), v.form.Checked("yes"))
	return v.steered(done, err, balancerHome(v.path("name")), u.switchOffPage)
}

func (u *UI) checkBackend(v *visit) error {
	app, server := v.path("name"), v.path("server")
	probe, err := u.control.CheckBackend(v.ctx(), v.actor, app, server)
	if err != nil {
		return v.again(err, u.backend)
	}
	shown, err := u.readBackend(v, app, server)
	if err != nil {
		return err
	}
	shown.Probe = &probe
	if err := u.addPast(v, shown, ""); err != nil {
		return err
	}
	shown.Stream = streamOf("backend", app+"/"+server, 0)
	return u.show(v, "backend.html", shown)
}

func (u *UI) repairBackend(v *visit) error {
	if _, err := u.control.RepairBackend(v.ctx(), v.actor, v.path("name"), v.path("server")); err != nil {
		return v.again(err, u.backend)
	}
	return v.see(backendHome(v.path("name"), v.path("server")), "")
}

func (u *UI) backendShare(v *visit) error {
	shown, err := u.backendOf(v, v.path("name"), v.path("server"), "Share of "+v.path("server"))
	if err != nil {
		return err
	}
	return u.show(v, "backend-share.html", shown)
}

// setBackend first shows what a new weight does, then does what was agreed to.
func (u *UI) setBackend(v *visit) error {
	weight, err := v.form.number("weight")
	if err == nil {
		err = plane.CheckWeight(*weight)
	}
	if err != nil {
		return v.again(err, u.backendShare)
	}
	shown, err := u.backendOf(v, v.path("name"), v.path("server"), "Share of "+v.path("server"))
	if err != nil {
		return err
	}
	backup := v.form.Checked("backup")
	if control.Seen(v.form.Value("was")) != shown.Was {
		return v.again(plane.Conflict("somebody else changed this backend meanwhile",
			fmt.Sprintf("now its weight is %d, backup %s; what you typed is still below", shown.Line.Weight, onOff(shown.Line.Backup))), u.backendShare)
	}
	if v.form.Value("agreed") != fmt.Sprint(*weight, backup) {
		return u.lookAtShare(v, shown, *weight, backup)
	}
	done, err := u.control.SetBackend(v.ctx(), v.actor, v.path("name"), v.path("server"), control.BackendChange{Weight: weight, Backup: &backup, Yes: v.form.Checked("yes"), Seen: shown.Was})
	return v.steered(done, err, shown.Here(), u.backendShare)
}

func (u *UI) lookAtShare(v *visit, shown *backendView, weight int, backup bool) error {
	l := shown.Line
	if l.Weight == weight && l.Backup == backup {
		return v.see(shown.Here(), "unchanged")
	}
	if err := plane.CheckBackup(shown.LB.Method, backup); err != nil {
		return v.again(err, u.backendShare)
	}
	then := with(shown.LB, l.ServerName, func(b *plane.Backend) { b.Weight, b.Backup = weight, backup })
	shown.Then = shiftsOf(shown.Lines, linesOf(then, shown.App.LiveID))
	shown.Changes = shareChanges(l, weight, backup)
	shown.Told = []string{whoMoves(shown.LB.Method, shown.Then), "Nginx is reloaded on the entry. Requests under way end as they began; no visitor gets an error."}
	return u.show(v, "backend-share.html", shown)
}

func shareChanges(l backendLine, weight int, backup bool) []change {
	var all []change
	if l.Weight != weight {
		all = append(all, change{"Weight", fmt.Sprint(l.Weight), fmt.Sprint(weight)})
	}
	if l.Backup != backup {
		all = append(all, change{"Backup", onOff(l.Backup), onOff(backup)})
	}
	return all
}

// Agreement is what the second button sends: exactly what was shown.
func (b *backendView) Agreement() string {
	return fmt.Sprint(strings.TrimSpace(b.Form.Value("weight")), " ", b.Form.Checked("backup"))
}

func (u *UI) removeBackendPage(v *visit) error {
	shown, err := u.leaving(v, "Remove")
	if err != nil {
		return err
	}
	return u.show(v, "backend-remove.html", shown)
}

func (u *UI) removeBackend(v *visit) error {
	app, server := v.path("name"), v.path("server")
	if err := v.confirmed(server); err != nil {
		return v.again(err, u.removeBackendPage)
	}
	run, err := u.control.RemoveBackend(v.ctx(), v.actor, app, server, control.RemoveWish{Discard: v.form.Checked("discard"), Yes: v.form.Checked("yes")})
	if err != nil {
		return v.again(err, u.removeBackendPage)
	}
	return v.see("/runs/"+url.PathEscape(run.ID), "")
}
