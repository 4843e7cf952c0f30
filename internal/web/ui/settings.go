package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// balancerSettingsView is the form of method and health check, and once it was
// sent, what saving it would do.
type balancerSettingsView struct {
	balancerPage
	Methods []methodCard
	Was     control.Seen // what the form was filled from
	Look    bool         // consequences are shown, and can be agreed to
	Diff    []diffLine
	Path    string // of the file that is compared
	Told    []string
	Changes []change
}

// change is one setting as it is and as it would be.
type change struct{ What, Was, Then string }

func (u *UI) balancerSettings(v *visit) error {
	shown, err := u.loadBalancerSettings(v)
	if err != nil {
		return err
	}
	return u.show(v, "load-balancer-settings.html", shown)
}

func (u *UI) loadBalancerSettings(v *visit) (*balancerSettingsView, error) {
	p, err := u.balancerPage(v, v.path("name"), "Settings of the Load Balancer")
	if err != nil {
		return nil, err
	}
	return &balancerSettingsView{
		balancerPage: p, Methods: methodCards(chosenMethod(v.form, p.LB.Method)), Was: control.SeenBalancer(p.LB.LoadBalancer, p.LB.Path),
	}, nil
}

// settingsOf are the values of the form, in a fixed order; together they say
// which state of the settings somebody looked at.
func settingsOf(lb control.BalancerView) []string {
	h := lb.Health
	return []string{string(lb.Method), lb.Path, h.Interval.String(), h.Timeout.String(), strconv.Itoa(h.Fall), strconv.Itoa(h.Rise),
		strconv.FormatBool(h.TakeOut), strconv.Itoa(max(1, h.Floor)), strconv.FormatBool(lb.NameHeader)}
}

// setBalancer first shows what saving would do and saves what was agreed to;
// never over what somebody else has saved meanwhile.
func (u *UI) setBalancer(v *visit) error {
	ch, err := balancerChange(v.form)
	if err != nil {
		return v.again(err, u.balancerSettings)
	}
	shown, err := u.loadBalancerSettings(v)
	if err != nil {
		return err
	}
	if was := control.Seen(v.form.Value("was")); was != shown.Was {
		return v.again(changedMeanwhile(shown.LB), u.balancerSettings)
	}
	if !v.form.Checked("agreed") || v.form.Value("agreed") != agreement(ch) {
		return u.lookAtSettings(v, shown, ch)
	}
	ch.Seen = shown.Was
	done, err := u.control.SetBalancer(v.ctx(), v.actor, v.path("name"), ch)
	return v.steered(done, err, shown.Home(), u.balancerSettings)
}

func changedMeanwhile(lb control.BalancerView) error {
	h := lb.Health
	return plane.Conflict("somebody else saved these settings meanwhile",
		fmt.Sprintf("now it is: %s, GET %s every %s, limit %s, fall %d, rise %d, automatic take-out %s, answers name their backend: %s; what you typed is still below, save again to put it in force",
			label(lb.Method), lb.Path, h.Interval, h.Timeout, h.Fall, h.Rise, onOff(h.TakeOut), onOff(lb.NameHeader)))
}

func onOff(is bool) string {
	if is {
		return "on"
	}
	return "off"
}

// Agreement names exactly what was shown, so that only that is saved.
func agreement(ch control.BalancerChange) string {
	return fmt.Sprint(*ch.Method, *ch.HealthPath, ch.Interval, ch.Timeout, *ch.Fall, *ch.Rise, *ch.TakeOut, *ch.Floor, *ch.NameHeader)
}

// Agreement is what the second button sends.
func (s *balancerSettingsView) Agreement() string {
	ch, err := balancerChange(s.Form)
	if err != nil {
		return ""
	}
	return agreement(ch)
}

func (u *UI) lookAtSettings(v *visit, shown *balancerSettingsView, ch control.BalancerChange) error {
	is := shown.LB
	is.Method, is.Path, is.NameHeader = *ch.Method, *ch.HealthPath, *ch.NameHeader
	is.Health = plane.HealthCheck{Interval: *ch.Interval, Timeout: *ch.Timeout, Fall: *ch.Fall, Rise: *ch.Rise, TakeOut: *ch.TakeOut, Floor: *ch.Floor}
	shown.Changes = changesOf(shown.LB, is)
	if len(shown.Changes) == 0 {
		return v.see(shown.Home(), "unchanged")
	}
	shown.Look, shown.Told = true, settingsTold(shown.LB, is)
	if is.Method != shown.LB.Method && shown.On() {
		if err := u.compare(v, shown, is.Method); err != nil {
			return v.again(err, u.balancerSettings)
		}
	}
	return u.show(v, "load-balancer-settings.html", shown)
}

// compare adds what the entry's Nginx file is and what it would be.
func (u *UI) compare(v *visit, shown *balancerSettingsView, m plane.Method) error {
	was, err := u.control.PreviewBalancer(v.ctx(), v.actor, v.path("name"), "")
	if err != nil {
		return err
	}
	then, err := u.control.PreviewBalancer(v.ctx(), v.actor, v.path("name"), m)
	shown.Diff, shown.Path = diffOf(was.Text, then.Text), then.Path
	return err
}

func changesOf(was, is control.BalancerView) []change {
	names := []string{"Method", "Health check path", "Interval", "Limit of one check", "Unhealthy after failures in a row",
		"Healthy after passes in a row", "Automatic take-out", "Backends that stay in", "Answers name their backend"}
	old, wished := settingsOf(was), settingsOf(is)
	var all []change
	for i, name := range names {
		if old[i] != wished[i] {
			all = append(all, change{name, settingWord(old[i]), settingWord(wished[i])})
		}
	}
	return all
}

func settingWord(value string) string {
	switch value {
	case "true":
		return "on"
	case "false":
		return "off"
	}
	return label(value)
}

// settingsTold says who moves and what is interrupted.
func settingsTold(was, is control.BalancerView) []string {
	var told []string
	if was.Method != is.Method {
		told = append(told, methodTold(is.Method), "Nginx is reloaded on the entry. Requests under way end as they began; no visitor gets an error.")
	}
	if was.NameHeader != is.NameHeader {
		told = append(told, nameHeaderTold(is.NameHeader))
	}
	if was.Path != is.Path {
		told = append(told, "Backends are asked for "+is.Path+" from the next check on. Nothing visitors see changes; one that does not answer it well becomes unhealthy.")
	}
	if !was.Health.TakeOut && is.Health.TakeOut {
		told = append(told, fmt.Sprintf("Unhealthy backends get no visitors until they are healthy again, as long as %s would stay in.", plural(max(1, is.Health.Floor), "backend")))
	}
	if was.Health.TakeOut && !is.Health.TakeOut {
		told = append(told, "Backends that were taken out are let in again, healthy or not.")
	}
	if len(told) == 0 {
		told = append(told, "Only how often and how patiently backends are asked changes. No visitor moves, nothing is interrupted.")
	}
	return told
}

func nameHeaderTold(on bool) string {
	if on {
		return "Every answer carries X-Served-By with the name of the server that gave it, for everybody to read; one that the app sets is replaced. Nginx is reloaded on the entry; no visitor gets an error."
	}
	return "Answers no longer say which server gave them. Nginx is reloaded on the entry; no visitor gets an error."
}

func methodTold(m plane.Method) string {
	if m == plane.IPHash {
		return "Each visitor is bound to one backend by their address. Most of them are sent to another backend than before, once."
	}
	return "A visitor's next request may go to another backend than the last one. Sessions kept on a backend's own disk are not found there."
}

// balancerChange reads the form; what is no number or time is told at its field.
func balancerChange(f Form) (control.BalancerChange, error) {
	method, path, takeOut := plane.Method(f.Value("method")), strings.TrimSpace(f.Value("health_path")), f.Checked("take_out")
	names := f.Checked("name_header")
	ch := control.BalancerChange{Method: &method, HealthPath: &path, TakeOut: &takeOut, NameHeader: &names}
	var err error
	if ch.Interval, err = f.duration("interval"); err != nil {
		return ch, err
	}
	if ch.Timeout, err = f.duration("timeout"); err != nil {
		return ch, err
	}
	for name, to := range map[string]**int{"fall": &ch.Fall, "rise": &ch.Rise, "floor": &ch.Floor} {
		if *to, err = f.number(name); err != nil {
			return ch, err
		}
	}
	return ch, plane.CheckMethod("method", method)
}

func (f Form) number(name string) (*int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(f.Value(name)))
	if err != nil {
		return nil, plane.Invalid(name, "must be a whole number", "for example 2")
	}
	return &n, nil
}

// duration takes "10s" and, as people write it, "10" or "10 s".
func (f Form) duration(name string) (*plane.Duration, error) {
	text := strings.ReplaceAll(f.Value(name), " ", "")
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, plane.Invalid(name, "must be a length of time", "for example 10s or 500ms")
	}
	as := plane.Duration(d)
	return &as, nil
}
