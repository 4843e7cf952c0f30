package control_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestAddServer(t *testing.T) {
	p := newPanel(t)
	wish := wishedServer(1)
	wish.Password, wish.SudoPassword, wish.Key = "root-pass-9f3", "sudo-pass-9f3", []byte("private-key-9f3")
	s, run, err := p.AddServer(t.Context(), ann, wish)
	if err != nil {
		t.Fatal(err)
	}
	if s.State != plane.ServerPending || s.Firewall != plane.FirewallManage || s.SSHPort != 22 || s.HostKey != "ssh-ed25519 AAAA" || s.PrivateAddress.String() != "203.0.113.1" {
		t.Errorf("stored as %+v", s)
	}
	if run.Kind != plane.RunProvision || run.State != plane.RunQueued || run.ServerID != s.ID || len(run.Locks) != 1 || run.Locks[0] != plane.PackagesLock(s.ID) || run.Actor != ann.Email {
		t.Errorf("queued as %+v", run)
	}
	if p.found.installed != 1 {
		t.Errorf("the panel's key was installed %d times", p.found.installed)
	}
	if a := p.lastAudit(); a.Action != "server.add" || a.Subject != "s1" || a.Email != ann.Email || a.From != ann.From {
		t.Errorf("written down as %+v", a)
	}
	if p.inFiles("9f3") {
		t.Error("a secret that is used once was stored")
	}
}

func TestAddServerRefuses(t *testing.T) {
	p := newPanel(t)
	p.add(1)
	p.found.installed = 0
	for what, c := range map[string]struct {
		code   plane.Code
		field  string
		wish   func(*control.ServerWish)
		survey func(*plane.Survey)
	}{
		"a bad name":                        {plane.CodeInvalid, "name", func(w *control.ServerWish) { w.Name = "S 2; id" }, nil},
		"Ansible's own name":                {plane.CodeInvalid, "name", func(w *control.ServerWish) { w.Name = "localhost" }, nil},
		"a host name":                       {plane.CodeInvalid, "address", func(w *control.ServerWish) { w.Address = "s2.example.com" }, nil},
		"loopback":                          {plane.CodeInvalid, "address", func(w *control.ServerWish) { w.Address = "127.0.0.1" }, nil},
		"a port above all":                  {plane.CodeInvalid, "ssh_port", func(w *control.ServerWish) { w.SSHPort = 65536 }, nil},
		"a negative port":                   {plane.CodeInvalid, "ssh_port", func(w *control.ServerWish) { w.SSHPort = -1 }, nil},
		"an option as user":                 {plane.CodeInvalid, "user", func(w *control.ServerWish) { w.User = "-oProxyCommand=id" }, nil},
		"another firewall":                  {plane.CodeInvalid, "firewall", func(w *control.ServerWish) { w.Firewall = "iptables" }, nil},
		"a wrong fingerprint":               {plane.CodeInvalid, "host_key", func(w *control.ServerWish) { w.HostKey = "SHA256:other" }, nil},
		"no fingerprint":                    {plane.CodeInvalid, "host_key", func(w *control.ServerWish) { w.HostKey = "" }, nil},
		"the name again":                    {plane.CodeConflict, "", func(w *control.ServerWish) { w.Name = "s1" }, nil},
		"the address again":                 {plane.CodeConflict, "", func(w *control.ServerWish) { w.Address = "203.0.113.1" }, nil},
		"the address in IPv6 clothes":       {plane.CodeConflict, "", func(w *control.ServerWish) { w.Address = "::ffff:203.0.113.1" }, nil},
		"a private address of no interface": {plane.CodeInvalid, "private_address", func(w *control.ServerWish) { w.PrivateAddress = "10.9.9.9" }, nil},
		"no private address at all":         {plane.CodeInvalid, "private_address", func(w *control.ServerWish) { w.PrivateAddress = "eth1" }, nil},
		"another panel's":                   {plane.CodeConflict, "", nil, func(s *plane.Survey) { s.Panel = "pnl_other" }},
		"a clock off":                       {plane.CodeConflict, "", nil, func(s *plane.Survey) { s.ClockOffset = plane.Duration(7 * time.Second) }},
		"another family":                    {plane.CodeInvalid, "address", nil, func(s *plane.Survey) { s.OSFamily = "almalinux" }},
		"ufw on firewalld":                  {plane.CodeConflict, "", func(w *control.ServerWish) { w.Firewall = plane.FirewallManage }, func(s *plane.Survey) { s.Firewall = "firewalld" }},
	} {
		wish := wishedServer(2)
		p.found.survey = debian()
		if c.wish != nil {
			c.wish(&wish)
		}
		if c.survey != nil {
			c.survey(&p.found.survey)
		}
		p.refuses(what, c.code, c.field, func(ctx context.Context) error { _, _, err := p.AddServer(ctx, ann, wish); return err })
	}
	if p.found.installed > 0 {
		t.Errorf("the panel let itself in %d times on servers it refused", p.found.installed)
	}
}

func TestAddServerShowsTheFingerprint(t *testing.T) {
	p := newPanel(t)
	wish := wishedServer(1)
	wish.HostKey = ""
	if _, _, err := p.AddServer(t.Context(), ann, wish); err == nil || !strings.Contains(err.Error(), fingerprint) {
		t.Errorf("got %v", err)
	}
}

func TestAddServerTakesWhatIsAllowed(t *testing.T) {
	p := newPanel(t)
	for name, c := range map[string]struct {
		wish   func(*control.ServerWish)
		survey func(*plane.Survey)
		want   plane.Firewall
	}{
		"adopted":   {func(w *control.ServerWish) { w.Adopt = true }, func(s *plane.Survey) { s.Panel = "pnl_other" }, plane.FirewallManage},
		"firewalld": {func(*control.ServerWish) {}, func(s *plane.Survey) { s.Firewall = "firewalld" }, plane.FirewallLeave},
		"crowded": {func(*control.ServerWish) {}, func(s *plane.Survey) {
			s.Listening = append(s.Listening, plane.Socket{Proto: "tcp", Address: "0.0.0.0", Port: 3306, Process: "mariadbd"})
		}, plane.FirewallKeepOpen},
		"own-choice": {func(w *control.ServerWish) { w.Firewall, w.SSHPort = plane.FirewallLeave, 2222 }, func(*plane.Survey) {}, plane.FirewallLeave},
		"inner":      {func(w *control.ServerWish) { w.PrivateAddress = "10.0.0.1" }, func(*plane.Survey) {}, plane.FirewallManage},
	} {
		p.found.survey = debian()
		c.survey(&p.found.survey)
		wish := wishedServer(p.count("servers") + 1)
		wish.Name = name
		c.wish(&wish)
		s, _, err := p.AddServer(t.Context(), ann, wish)
		if err != nil || s.Firewall != c.want {
			t.Errorf("%s: %q, %v; want %q", name, s.Firewall, err, c.want)
		}
	}
}

func TestRemoveServer(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	p.app("web")
	remove := func(name string) func(context.Context) error {
		return func(ctx context.Context) error { return p.RemoveServer(ctx, ann, name, false) }
	}
	p.refuses("with an app", plane.CodeConflict, "", remove("s1"))
	if err := p.RemoveServer(t.Context(), ann, "s1", false); !strings.Contains(err.Error(), "web") {
		t.Errorf("the apps are not named: %v", err)
	}
	p.refuses("unknown", plane.CodeNotFound, "", remove("s9"))
	busy := p.add(2)
	p.refuses("while it is provisioned", plane.CodeConflict, "", remove(busy.Name))
	p.ready(3)
	if err := p.RemoveServer(t.Context(), ann, "s3", false); err != nil {
		t.Error(err)
	}
	if view, err := p.Server(t.Context(), ann, "s1"); err != nil || view.ID != s.ID || len(view.Apps) != 1 {
		t.Errorf("%+v, %v", view, err)
	}
}

func TestSurveyServerKeepsWhatItFound(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.found.survey.Node = "v22.1.0"
	if _, err := p.SurveyServer(t.Context(), ann, "s1"); err != nil {
		t.Fatal(err)
	}
	view, err := p.Server(t.Context(), ann, "s1")
	if err != nil || view.Survey.Node != "v22.1.0" || view.State != plane.ServerReady {
		t.Errorf("%+v, %v", view.Survey, err)
	}
}
