package plane

import (
	"regexp"
	"strconv"
	"strings"
)

// OptionVersion is which version of its runtime an app wants.
const OptionVersion = "version"

// The rules of options. What passes them may stand in shell text and in files for servers.
var (
	folderPattern = regexp.MustCompile(`\A[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\z`)
	wordsPattern  = regexp.MustCompile(`\A[a-z0-9_]+(,[a-z0-9_]+)*\z`)
)

func folderOption(name string) Option {
	return Option{Name: name, Rule: "must be a folder inside the repository: letters, digits, ., _ and - between slashes", Accepts: isFolder}
}

func foldersOption(name, byDefault string) Option {
	return Option{Name: name, Default: byDefault, Rule: "must be folders inside the repository with commas between", Accepts: func(s string) bool {
		for _, f := range list(s) {
			if !isFolder(f) {
				return false
			}
		}
		return len(list(s)) <= 50
	}}
}

func isFolder(s string) bool { return len(s) <= 200 && folderPattern.MatchString(s) }

func switchOption(name string) Option {
	return Option{Name: name, Default: "false", Rule: "must be true or false", Accepts: func(s string) bool { return s == "true" || s == "false" }}
}

func numberOption(name string, byDefault, least, most int) Option {
	rule := "must be a number of " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
	return Option{Name: name, Default: strconv.Itoa(byDefault), Rule: rule, Accepts: func(s string) bool {
		n, err := strconv.Atoi(s)
		return err == nil && n >= least && n <= most && strconv.Itoa(n) == s
	}}
}

func wordsOption(name string) Option {
	return Option{Name: name, Rule: "must be names of small letters, digits and _ with commas between", Accepts: func(s string) bool { return len(s) <= 400 && wordsPattern.MatchString(s) }}
}

// versionOption picks one of the versions that may lie beside each other on a server; their last digits come with its updates.
func versionOption(example, pattern string) Option {
	rule := regexp.MustCompile(`\A` + pattern + `\z`)
	return Option{
		Name: OptionVersion, Default: "Debian's own", Rule: "must be two numbers, such as " + example + ": what follows comes with the servers' updates", Accepts: rule.MatchString,
	}
}

// number is an option's value, which was accepted, or its default.
func number(options map[string]string, name string, byDefault int) int {
	if n, err := strconv.Atoi(options[name]); err == nil {
		return n
	}
	return byDefault
}

// list is an option's value with commas between; empty is none.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// below is a folder inside another, or that one.
func below(folder, inside string) string {
	if inside == "" {
		return folder
	}
	return folder + "/" + inside
}

// optionText is an option's value, which was accepted, or its default.
func optionText(options map[string]string, name, byDefault string) string {
	if v := options[name]; v != "" {
		return v
	}
	return byDefault
}
