package ansible

import (
	"strings"
	"testing"
)

const someKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqIv6Xn1H8S9kzdB5HLWqIP0LRg9kDGpZBXnGJHBa6e"

func somePlay() Play {
	return Play{
		Run: "run_1", Playbook: "site.yml", Vars: map[string]any{"text": "50% of $HOME"},
		Hosts: []Host{{Name: "s1", Address: "198.18.0.1", Port: 22, User: "serverplane", HostKey: someKey}},
	}
}

func TestValidateRefusesWhatIsNotData(t *testing.T) {
	if err := somePlay().Validate(); err != nil {
		t.Fatalf("a plain play is refused: %v", err)
	}
	cases := map[string]func(*Play){
		"templated text":           func(p *Play) { p.Vars["text"] = "a {{ lookup('pipe','id') }}" },
		"templated statement":      func(p *Play) { p.Vars["text"] = "{% if 1 %}" },
		"templated comment":        func(p *Play) { p.Vars["text"] = "{# x #}" },
		"templated in a list":      func(p *Play) { p.Vars["text"] = []any{"ok", "{{x}}"} },
		"templated in a map":       func(p *Play) { p.Vars["text"] = map[string]any{"k": "{{x}}"} },
		"templated in list of map": func(p *Play) { p.Vars["text"] = []map[string]any{{"k": "{{x}}"}} },
		"templated host variable":  func(p *Play) { p.Hosts[0].Vars = map[string]any{"x": "{{x}}"} },
		"unsafe marker as a key":   func(p *Play) { p.Vars["text"] = map[string]any{"__ansible_unsafe": "x"} },
		"variable of ansible":      func(p *Play) { p.Vars["ansible_connection"] = "local" },
		"variable of the runner":   func(p *Play) { p.Vars["files_dir"] = "/" },
		"NUL":                      func(p *Play) { p.Vars["text"] = "a\x00b" },
		"a struct":                 func(p *Play) { p.Vars["text"] = struct{}{} },
		"run id with a slash":      func(p *Play) { p.Run = "../x" },
		"playbook elsewhere":       func(p *Play) { p.Playbook = "../x.yml" },
		"playbook as an option":    func(p *Play) { p.Playbook = "--version" },
		"no hosts":                 func(p *Play) { p.Hosts = nil },
		"a host twice":             func(p *Play) { p.Hosts = append(p.Hosts, p.Hosts[0]) },
		"host named localhost":     func(p *Play) { p.Hosts[0].Name = "localhost" },
		"host with a range":        func(p *Play) { p.Hosts[0].Name = "s[1:3]" },
		"host with a newline":      func(p *Play) { p.Hosts[0].Name = "s1\n" },
		"address with an option":   func(p *Play) { p.Hosts[0].Address = "-oProxyCommand=id" },
		"address with a space":     func(p *Play) { p.Hosts[0].Address = "a b" },
		"address with a zone":      func(p *Play) { p.Hosts[0].Address = "fe80::1%eth0" },
		"port 0":                   func(p *Play) { p.Hosts[0].Port = 0 },
		"user with a space":        func(p *Play) { p.Hosts[0].User = "a b" },
		"no host key":              func(p *Play) { p.Hosts[0].HostKey = "" },
		"two host keys":            func(p *Play) { p.Hosts[0].HostKey = someKey + "\n" + someKey },
		"file elsewhere":           func(p *Play) { p.Files = []File{{Name: "../x"}} },
		"a file twice":             func(p *Play) { p.Files = []File{{Name: "x"}, {Name: "x"}} },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			p := somePlay()
			spoil(&p)
			if p.Validate() == nil {
				t.Fatal("accepted")
			}
		})
	}
}

func TestRefusedTextIsNotRepeated(t *testing.T) {
	p := somePlay()
	p.Vars["text"] = "hush {{ secret }}"
	if err := p.Validate(); err == nil || strings.Contains(err.Error(), "hush") {
		t.Fatalf("got %v, want a refusal without the text", err)
	}
}
