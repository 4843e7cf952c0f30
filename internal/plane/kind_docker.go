package plane

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// KindDocker is an app that its repository's Dockerfile makes an image of.
const KindDocker Kind = "docker"

// defaultContainerPort is told to what listens in a container unless the app says otherwise.
const defaultContainerPort = 8080

func docker() Definition {
	return Definition{
		Kind: KindDocker, Label: "Docker", Slot: "a container of the image that the repository's Dockerfile makes",
		Fixed: true,
		Container: func(p Place) Container {
			return Container{
				Dockerfile: optionText(p.Options, "dockerfile", "Dockerfile"), Port: number(p.Options, "port", defaultContainerPort), Memory: mebibytes(p.Options["memory"]),
				Once: p.Options["build"] == "once",
			}
		},
		Options: []Option{
			{Name: "build", Default: "each", Rule: "must be each (every backend builds its own image) or once (the primary builds it for all)", Accepts: func(s string) bool {
				return s == "each" || s == "once"
			}},
			{Name: "dockerfile", Default: "Dockerfile", Rule: "must be a file inside the repository: letters, digits, ., _ and - between slashes", Accepts: isFolder},
			numberOption("port", defaultContainerPort, 1, 65535),
			{Name: "memory", Default: "no limit", Rule: "must be 16m to 1024g, for example 512m or 2g", Accepts: func(s string) bool { return mebibytes(s) > 0 }},
			mountOption(),
		},
		Trust: "requests come from the gateway of the container's network: trust private addresses, as with Express: app.set('trust proxy', 'uniquelocal')",
		Runtime: func(map[string]string) Runtime {
			// Nobody asks for its version: what an app runs on is in its image, and two Dockers may differ.
			return Runtime{Role: "docker", Packages: []string{"docker.io"}, Commands: []string{"docker", "dockerd"}, Name: "Docker"}
		},
		Look: func(f Files) Finding {
			found := seen(f, 10, "Dockerfile", "what an image is made by")
			if port := exposed(f.Texts["Dockerfile"]); found.Sure > 0 && port != "" {
				found.Evidence = append(found.Evidence, "Dockerfile: exposes port "+port)
				found.Options = map[string]string{"port": port}
			}
			return found
		},
	}
}

var (
	sizePattern   = regexp.MustCompile(`\A([1-9][0-9]{0,6})([mg])\z`)
	exposePattern = regexp.MustCompile(`(?im)^[ \t]*EXPOSE[ \t]+(.*?)[ \t\r]*$`)
)

// mebibytes reads a size such as 512m or 2g; 0: it is none of 16 MiB to 1 TiB.
func mebibytes(s string) int {
	found := sizePattern.FindStringSubmatch(s)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if found[2] == "g" {
		n *= 1024
	}
	if err != nil || n < 16 || n > 1<<20 {
		return 0
	}
	return n
}

// exposed is the one port that a Dockerfile says the image listens on; empty where it names none, or several.
func exposed(dockerfile string) string {
	var ports []string
	for _, m := range exposePattern.FindAllStringSubmatch(dockerfile, -1) {
		ports = append(ports, strings.TrimSuffix(m[1], "/tcp"))
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	if len(ports) != 1 {
		return ""
	}
	if n, err := strconv.Atoi(ports[0]); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != ports[0] {
		return ""
	}
	return ports[0]
}
