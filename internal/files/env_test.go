package files

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEnvCarriesEveryValue(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "plain": "x", "blanks around": "  x  ", "newlines": "a\nb\n\nc\n", "carriage return": "a\r\nb\r",
		"escape": "\x1b[31m", "tab": "\t", "percent": "100%i %%", "dollar": "$HOME ${HOME} $$", "backtick": "`id`",
		"quotes": `"a" 'b'`, "backslashes": `\ \\ \n \" \$`, "ends in backslash": `a\`, "backslash newline": "a\\\nb",
		"comment": "# ; x", "equals": "A=B", "long": strings.Repeat("x", MaxValue), "all escaped": strings.Repeat(`"`, MaxValue),
		"emoji": "☃ 🎉", "byte order mark": "\uFEFFx", "pem": "-----BEGIN KEY-----\nMIIB\n-----END KEY-----\n", "delete": "\x7f\x01",
	} {
		t.Run(name, func(t *testing.T) { roundTrip(t, []Var{{"NAME", value}, {"OTHER", "y"}}) })
	}
}

func roundTrip(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, vars []Var) {
	t.Helper()
	text, err := Env(vars)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEnv(text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, vars) {
		t.Fatalf("%q became %q through\n%s", vars, got, text)
	}
}

func TestEnvRefusals(t *testing.T) {
	const secret = "s3cret"
	for name, vars := range map[string][]Var{
		"empty name":      {{"", "x"}},
		"digit first":     {{"1A", "x"}},
		"hyphen":          {{"A-B", "x"}},
		"newline in name": {{"A\nB", "x"}},
		"equals in name":  {{"A=B", "x"}},
		"not ASCII":       {{"Ä", "x"}},
		"name too long":   {{strings.Repeat("A", MaxName+1), "x"}},
		"NUL":             {{"A", secret + "\x00"}},
		"invalid UTF-8":   {{"A", secret + "\xff"}},
		"surrogate":       {{"A", secret + "\xed\xa0\x80"}},
		"noncharacter":    {{"A", secret + "\uFDD0"}},
		"last of plane":   {{"A", secret + "\U0001FFFF"}},
		"value too long":  {{"A", secret + strings.Repeat("x", MaxValue)}},
		"twice":           {{"A", "x"}, {"A", secret}},
		"too much at once": slices.Collect(func(yield func(Var) bool) {
			for i := range 11 {
				if !yield(Var{strings.Repeat("A", i+1), strings.Repeat("x", MaxValue)}) {
					return
				}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Env(vars)
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Field == "" || text != nil {
				t.Fatalf("got %q, %v", text, err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the refusal tells the value: %v", err)
			}
		})
	}
}

func TestEnvDoesNotDependOnOrder(t *testing.T) {
	first, _ := Env([]Var{{"B", "2"}, {"A", "1"}})
	second, _ := Env([]Var{{"A", "1"}, {"B", "2"}})
	if !bytes.Equal(first, second) || string(first) != "A=\"1\"\nB=\"2\"\n" {
		t.Errorf("%q, %q", first, second)
	}
}

func TestEnvRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.MapOfN(rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,20}`), rapid.StringOfN(
			rapid.OneOf(rapid.SampledFrom([]rune("\"\\`$\n\r\t #;='%\x1b")), rapid.Rune()).Filter(func(r rune) bool { return !unfit(r) }), 0, 200, -1), 0, 10).Draw(t, "variables")
		vars := []Var{}
		for n, v := range set {
			vars = append(vars, Var{n, v})
		}
		slices.SortFunc(vars, func(a, b Var) int { return strings.Compare(a.Name, b.Name) })
		roundTrip(t, vars)
	})
}

// FuzzEnv holds that an accepted variable is read back as itself and never as more than one.
func FuzzEnv(f *testing.F) {
	for _, v := range []string{"", `"`, "\\\n", "a\nB=c", "$(x)", "\r", `\"`, "\x00", "\xff"} {
		f.Add("NAME", v)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		text, err := Env([]Var{{name, value}})
		if err != nil {
			return
		}
		got, err := DecodeEnv(text)
		if err != nil || len(got) != 1 || got[0] != (Var{name, value}) {
			t.Fatalf("%q=%q became %q (%v)", name, value, got, err)
		}
	})
}
