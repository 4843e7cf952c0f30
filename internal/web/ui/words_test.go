package ui

import "testing"

func TestAgentsInAFewWords(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox 140 on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/139.0":               "Edge 139 on Windows",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36":                   "Chrome 139 on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "Safari 18 on iPhone",
		"curl/8.9.1": "curl 8", "": "not told", "a program of ours": "a program of ours", "Firefox/<b>": "Firefox",
	} {
		if got := agentName(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

func TestWordsForPeople(t *testing.T) {
	for action, want := range map[string]string{"lb.set": "Load Balancer changed", "user.set-role": "Role changed", "clock.wind": "Clock: wind", "odd": "Odd: ", "": ": ", "x. --y": "X:  y"} {
		if got := deed(action); got != want {
			t.Errorf("%q: %q, want %q", action, got, want)
		}
	}
	for text, want := range map[string]string{
		"answered 404": "Answered 404.", "s1 cannot be reached": "s1 cannot be reached.", "npm ci ended with 1": "npm ci ended with 1.",
		"/etc/nginx/x is broken": "/etc/nginx/x is broken.", "it's over!": "It's over!", "": "", "build: no": "Build: no.",
		"give this one a --domain": "Give this one a domain.", "x --remove-backends y": "X remove backends y.", "a--b, -- c": "A--b, -- c.",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for mib, want := range map[int]string{512: "512 MiB", 3935: "3.8 GiB", 2048: "2 GiB"} {
		if got := size(mib); got != want {
			t.Errorf("%d: %q, want %q", mib, got, want)
		}
	}
	for bytes, want := range map[int64]string{1: "1 byte", 700: "700 bytes", 88213: "86 KiB", 5 << 20: "5 MiB", 3 << 30: "3 GiB"} {
		if got := weight(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
	for text, want := range map[string]bool{"run_but6rrirpjqcv3lm": true, "shop": false, "usr_x": false, "run_<script>": false} {
		if isID(text, "") != want {
			t.Errorf("%q is an id: %v", text, !want)
		}
	}
}
