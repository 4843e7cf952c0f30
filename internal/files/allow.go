package files

import "regexp"

func checkApp(s string) error {
	if len(s) > 24 || !matches(`[a-z]([a-z0-9-]*[a-z0-9])?`, s) {
		return refuse("app", "must be 1 to 24 of a-z, 0-9 and -, start with a letter and not end with -")
	}
	return nil
}

func checkSlot(s string) error {
	if s != "a" && s != "b" {
		return refuse("slot", "must be a or b")
	}
	return nil
}

func checkRelease(s string) error {
	if !matches(`[0-9]{14}-[0-9a-f]{7}`, s) {
		return refuse("release", "must be 14 digits of UTC time, - and 7 hex digits of the commit")
	}
	return nil
}

func checkID(field, prefix, s string) error {
	if !matches(prefix+`_[a-z0-9]{16}`, s) {
		return refuse(field, "must be "+prefix+"_ and 16 of a-z and 0-9")
	}
	return nil
}

func matches(pattern, s string) bool {
	return regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString(s)
}

// checkServer holds the rule for names of servers, the same as for apps.
func checkServer(name string) error {
	if checkApp(name) != nil {
		return refuse("server", "must be a server's name: 1 to 24 of a-z, 0-9 and '-', a letter first, not ending in '-'")
	}
	return nil
}
