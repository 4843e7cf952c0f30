package plane

import (
	"fmt"
	"strings"
)

// KindStatic is an app of files that a browser gets as they are.
const KindStatic Kind = "static"

// optionNodeJS is to have Node.js to build with.
const optionNodeJS = "nodejs"

func static() Definition {
	return Definition{
		Kind: KindStatic, Label: "Static site", Slot: "an Nginx of its own serves the output folder",
		Build: []string{needsNPM, "if [ -f package-lock.json ]; then npm ci; elif [ -f package.json ]; then npm install; fi",
			"if [ -f package.json ]; then npm run build --if-present; fi"},
		Fixed: true, Launch: launchNginx, Baked: true,
		Options: []Option{
			folderOption("output"), // the built site
			switchOption("spa"),    // index.html for a path that is no file
			switchOption(optionNodeJS),
		},
		Web: func(p Place) Web {
			return Web{Root: below(p.Folder, p.Options["output"]), Fallback: p.Options["spa"] == "true"}
		},
		Settle: func(p Place) []string { return []string{hasFolder("output", p.Options["output"])} },
		Trust:  "nothing to tell: files have no use for it",
		Runtime: func(options map[string]string) Runtime {
			if options[optionNodeJS] == "true" {
				return nodejs().Runtime(nil)
			}
			return Runtime{Role: "packages", Commands: []string{"nginx"}, Packages: []string{"nginx"}}
		},
		Look: lookStatic,
	}
}

// lookStatic knows the folder that some builders write to.
func lookStatic(f Files) Finding {
	for _, builder := range [][2]string{{`"astro"`, "dist"}, {`"vite"`, "dist"}, {`"@11ty/eleventy"`, "_site"}, {`"react-scripts"`, "build"}} {
		if f.Says("package.json", builder[0]) && !f.Says("package.json", `"start": "node`) {
			return Finding{
				Sure: 45, Evidence: []string{"package.json: builds with " + builder[0]}, Options: map[string]string{"output": builder[1], optionNodeJS: "true"},
			}
		}
	}
	for _, folder := range []string{"", "public", "dist"} {
		if found := seen(f, 20, strings.TrimPrefix(folder+"/index.html", "/"), "a page"); found.Sure > 0 {
			if folder != "" {
				found.Options = map[string]string{"output": folder}
			}
			return found
		}
	}
	return Finding{}
}

const needsNPM = `if [ -f package.json ] && ! command -v npm >/dev/null; then echo 'there is a package.json, but no Node.js to build with: app set --option nodejs=true'; exit 1; fi`

// launchNginx starts the slot's own Nginx; it stops by SIGQUIT, which lets requests end.
func launchNginx(p Place) string {
	return fmt.Sprintf("exec /usr/sbin/nginx -e stderr -c %s/nginx.conf", p.Config)
}

// hasFolder fails after a build that did not make the folder an option names.
func hasFolder(option, folder string) string {
	if folder == "" {
		folder = "."
	}
	return fmt.Sprintf(`[ -d '%[2]s' ] || { echo 'there is no folder %[2]s after the build; --option %[1]s=FOLDER names another'; exit 1; }`, option, folder)
}
