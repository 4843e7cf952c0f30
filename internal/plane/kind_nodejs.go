package plane

import "regexp"

// KindNodeJS is an app of JavaScript with a package.json.
const KindNodeJS Kind = "nodejs"

var nodeVersion = regexp.MustCompile(`\A(1[89]|[23][0-9])\z`)

// nodeFolder is where the role puts a version that Debian does not have.
func nodeFolder(options map[string]string) string {
	return "/opt/serverplane/nodejs/" + options["version"] + "/bin"
}

func nodejs() Definition {
	return Definition{
		Kind: KindNodeJS, Label: "Node.js", Slot: "its own process, which listens on $PORT",
		Build: []string{"npm ci", "npm run build --if-present"}, Start: "npm start",
		Running:    func(Place) map[string]string { return map[string]string{"NODE_ENV": "production"} },
		NotInBuild: []string{"NODE_ENV"}, // with "production" npm would not install what a build needs
		Trust:      "its framework must be told, as with Express: app.set('trust proxy', 'loopback')",
		Options:    []Option{{Name: OptionVersion, Default: "Debian's own", Rule: "must be a major version of Node.js, 18 to 39", Accepts: nodeVersion.MatchString}},
		Path: func(p Place) []string {
			if p.Options["version"] == "" {
				return nil
			}
			return []string{nodeFolder(p.Options)}
		},
		Runtime: func(options map[string]string) Runtime {
			at := ""
			if options["version"] != "" {
				at = nodeFolder(options) + "/"
			}
			return Runtime{
				Role: "nodejs", Packages: []string{"nodejs", "npm"}, Commands: []string{at + "node", at + "npm"},
				Asked: []string{at + "node", "--version"}, Name: "Node.js", Version: options["version"],
			}
		},
		Look: func(f Files) Finding {
			found := seen(f, 30, "package.json", "describes a Node.js app")
			switch {
			case found.Sure == 0:
			case f.Says("package.json", `"workspaces"`) && !f.Says("package.json", `"start"`):
				found.Evidence = append(found.Evidence, `package.json: has workspaces; an app in one of them is named by its folder (root)`)
			case f.Says("package.json", `"start"`):
				found.Sure, found.Evidence = 40, append(found.Evidence, `package.json: has a script "start"`)
			case f.Has("server.js"):
				found.Sure, found.Evidence = 40, append(found.Evidence, "server.js: what npm start runs")
			default:
				found.Evidence = append(found.Evidence, `package.json: has no script "start", so say how the app starts`)
			}
			if found.Sure > 0 && !f.Has("package-lock.json") && !f.Has("npm-shrinkwrap.json") {
				found.Evidence = append(found.Evidence, "no package-lock.json, which npm ci needs to give every backend the same packages: npm install makes it, commit it")
			}
			return found
		},
	}
}
