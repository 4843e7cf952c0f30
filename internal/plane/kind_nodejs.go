package plane

// KindNodeJS is an app of JavaScript with a package.json.
const KindNodeJS Kind = "nodejs"

func nodejs() Definition {
	return Definition{
		Kind: KindNodeJS, Label: "Node.js", Slot: "its own process, which listens on $PORT",
		Build: []string{"npm ci", "npm run build --if-present"}, Start: "npm start",
		Running:    func(Place) map[string]string { return map[string]string{"NODE_ENV": "production"} },
		NotInBuild: []string{"NODE_ENV"}, // with "production" npm would not install what a build needs
		Trust:      "its framework must be told, as with Express: app.set('trust proxy', 'loopback')",
		Runtime: func(map[string]string) Runtime {
			return Runtime{
				Role: "nodejs", Packages: []string{"nodejs", "npm"}, Commands: []string{"node", "npm"},
				Asked: []string{"node", "--version"}, Name: "Node.js",
			}
		},
		Look: func(f Files) Finding {
			found := seen(f, 30, "package.json", "describes a Node.js app")
			switch {
			case found.Sure == 0:
			case f.Says("package.json", `"start"`):
				found.Sure, found.Evidence = 40, append(found.Evidence, `package.json: has a script "start"`)
			case f.Has("server.js"):
				found.Sure, found.Evidence = 40, append(found.Evidence, "server.js: what npm start runs")
			}
			return found
		},
	}
}
