package dotenv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		text string
		want map[string]string
	}{
		"empty":             {"", map[string]string{}},
		"plain":             {"A=1\nB=2", map[string]string{"A": "1", "B": "2"}},
		"empty value":       {"A=\nB=''\nC=\"\"", map[string]string{"A": "", "B": "", "C": ""}},
		"comments":          {"# a\n\n  # b\nA=1 # c\nB=1#2\n", map[string]string{"A": "1", "B": "1#2"}},
		"hash first":        {"A=#secret\nB= # none\nC= #", map[string]string{"A": "#secret", "B": "", "C": ""}},
		"export":            {"export A=1\nexport\tB=2\nexport=3", map[string]string{"A": "1", "B": "2", "export": "3"}},
		"blanks":            {"  A = 1 2  \n\tB\t=\tx\t", map[string]string{"A": "1 2", "B": "x"}},
		"CRLF and BOM":      {"\uFEFFA=1\r\nB='2'\r\n", map[string]string{"A": "1", "B": "2"}},
		"single":            {`A='$x \n "q" # no'`, map[string]string{"A": `$x \n "q" # no`}},
		"double":            {`A="a\n\r\t\\\"\$x $y # no" # yes`, map[string]string{"A": "a\n\r\t\\\"$x $y # no"}},
		"over lines":        {"A='1\n2'\nB=\"3\n4\"\nC=5", map[string]string{"A": "1\n2", "B": "3\n4", "C": "5"}},
		"nothing expanded":  {"A=$B ${C} `d` \\n", map[string]string{"A": "$B ${C} `d` \\n"}},
		"quotes inside":     {`A=it's "so"`, map[string]string{"A": `it's "so"`}},
		"equals in value":   {"A=b=c==", map[string]string{"A": "b=c=="}},
		"template brackets": {"A={{ x }}", map[string]string{"A": "{{ x }}"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsNameTheLineAndNoValue(t *testing.T) {
	cases := map[string]string{
		"A=1\nhunter2":         "line 2: must be NAME=VALUE",
		"\n\n1A=hunter2":       "line 3: must be NAME=VALUE",
		"A-B=hunter2":          "line 1: must be NAME=VALUE",
		"A='1\n2'\nexport =x":  "", // a variable named export
		"A='1\n2'\nexport x":   "line 3: must be NAME=VALUE",
		"A=1\nB='hunter2\n\n":  "line 2: the quote ' is not closed",
		"A=\"hunter2":          `line 1: the quote " is not closed`,
		"A=\"1\nhunter2\\d\"":  "line 2: inside",
		"A=\"hunter2\\":        "line 1: inside",
		"A='x' hunter2":        "line 1: something follows the closing quote",
		"A=1\n\nB=2\nA=hunter": "line 4: A is already on line 1",
		"A=\xff":               "is not UTF-8 text",
	}
	for text, want := range cases {
		_, err := Parse(text)
		if (err == nil) != (want == "") {
			t.Errorf("%q: got %v, want %q", text, err, want)
			continue
		}
		if err != nil && (!strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter")) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// Whatever is written in double quotes with the documented escapes, or in
// single quotes, is read back byte for byte.
func TestRoundTrip(t *testing.T) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,8}`), rapid.String()).Draw(t, "values")
		var text strings.Builder
		for name, value := range want {
			if !strings.Contains(value, "'") && rapid.Bool().Draw(t, "single") {
				text.WriteString("export " + name + "='" + value + "' # why\n")
				continue
			}
			text.WriteString(name + `="` + escape.Replace(value) + "\"\n")
		}
		got, err := Parse(text.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, text.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"A=1\n", "export B='x'", `C="\n"`, "D=\"\\", "#\n\r\n=", "\uFEFFA= #"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := Parse(text)
		if err != nil && values != nil {
			t.Fatal("values beside an error")
		}
		for name, value := range values {
			if name == "" || strings.ContainsAny(name, " =\n'\"") {
				t.Fatalf("name %q", name)
			}
			if len(value) > len(text) {
				t.Fatalf("a value longer than the text: %q", value)
			}
		}
	})
}
