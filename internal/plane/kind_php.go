package plane

import (
	"fmt"
	"slices"
	"strings"
)

// KindPHP is an app of PHP files.
const KindPHP Kind = "php"

// php is what plain PHP, Laravel and WordPress have in common, too: an own php-fpm per slot behind an own Nginx.
func php() Definition {
	return Definition{
		Kind: KindPHP, Label: "PHP", Slot: "a php-fpm of its own behind an Nginx of its own",
		Build: []string{installComposer},
		Fixed: true, Launch: func(p Place) string { return launchFPM(p, "") },
		Options: phpOptions("document-root", "shared"),
		Web:     func(p Place) Web { return Web{Root: below(p.Folder, p.Options["document-root"]), PHP: true} },
		Pool:    phpPool,
		Tools:   phpTools,
		Setup:   func(Place) []string { return []string{needsExtensions} },
		Settle:  func(p Place) []string { return []string{hasFolder("document-root", p.Options["document-root"])} },
		Shared:  func(options map[string]string) []string { return list(options["shared"]) },
		Trust:   "REMOTE_ADDR is the visitor and HTTPS is on behind https: nothing to tell",
		Runtime: phpRuntime,
		Look: func(f Files) Finding {
			for _, folder := range []string{"public", "web", "htdocs"} {
				if found := seen(f, 50, folder+"/index.php", "a page in PHP"); found.Sure > 0 {
					found.Options = map[string]string{"document-root": folder}
					return found
				}
			}
			return seen(f, 50, "index.php", "a page in PHP")
		},
	}
}

// phpOptions are those of all kinds made of PHP, besides the named ones with folders in them.
func phpOptions(folders ...string) []Option {
	options := []Option{versionOption("8.2", `[5-9]\.[0-9]`), wordsOption("extensions"), numberOption("workers", defaultWorkers, 1, 500), numberOption("memory", defaultMemory, 32, 4096)}
	for _, name := range folders {
		if name == "shared" {
			options = append(options, foldersOption(name, ""))
		} else {
			options = append(options, folderOption(name))
		}
	}
	return options
}

const (
	defaultWorkers = 10  // requests at once in one slot
	defaultMemory  = 256 // MiB for one request
)

func phpPool(p Place) Pool {
	return Pool{Workers: number(p.Options, "workers", defaultWorkers), Memory: number(p.Options, "memory", defaultMemory)}
}

// usualExtensions are what most PHP apps take for granted.
var usualExtensions = []string{"bcmath", "curl", "gd", "intl", "mbstring", "mysql", "pgsql", "sqlite3", "xml", "zip"}

// phpRuntime has Debian's PHP, or the version asked for. An extension is named as PHP names it; some come in a package of another name.
func phpRuntime(options map[string]string) Runtime {
	version := options[OptionVersion]
	packages := []string{"php" + version + "-fpm", "php" + version + "-cli", "composer", "unzip"}
	for _, e := range append(slices.Clone(usualExtensions), list(options["extensions"])...) {
		if name := "php" + version + "-" + strings.ReplaceAll(packageOf(e), "_", "-"); !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	return Runtime{
		Role: "packages", Packages: packages, Asked: []string{"php" + version, "-r", "echo PHP_VERSION;"}, Name: "PHP", Version: version, Choice: "php%s-fpm",
	}
}

// phpTools let every "php", whoever types it, be the version asked for; Debian's composer would start Debian's own.
func phpTools(p Place) map[string]string {
	version := p.Options[OptionVersion]
	if version == "" {
		return nil
	}
	php := "exec /usr/bin/php" + version
	return map[string]string{"php": php + ` "$@"`, "composer": php + ` /usr/bin/composer "$@"`}
}

func packageOf(extension string) string {
	switch extension {
	case "pdo_mysql", "mysqli":
		return "mysql"
	case "pdo_pgsql":
		return "pgsql"
	case "pdo_sqlite":
		return "sqlite3"
	case "dom", "simplexml", "xmlreader", "xmlwriter", "xsl":
		return "xml"
	}
	return extension
}

// needsExtensions names what composer.json asks for and this server's PHP does not have.
const needsExtensions = `if [ -f composer.json ]; then php -r '
$asked = array_keys(json_decode(file_get_contents("composer.json"), true)["require"] ?? []);
$missing = [];
foreach ($asked as $name) if (strncmp($name, "ext-", 4) === 0 && !extension_loaded(substr($name, 4))) $missing[] = substr($name, 4);
if ($missing) { echo "PHP on this server lacks the extension ", implode(", ", $missing), " that composer.json requires; app set --option extensions=", implode(",", $missing), "\n"; exit(1); }
'; fi`

const installComposer = "if [ -f composer.json ]; then composer install --no-dev --no-interaction --no-progress --optimize-autoloader; fi"

// launchFPM starts php-fpm, then Nginx in front of it. When either ends, the slot ends: the port is closed then, which
// lets other backends answer, and systemd starts both anew.
// What comes before is the kind's own; it sees the slot's variables.
func launchFPM(p Place, before string) string {
	return fmt.Sprintf(`%[3]s
mkdir -p '%[4]s/.php-sessions'
stopping=
trap stopping=1 QUIT TERM
version=%[5]s
"/usr/sbin/php-fpm$version" --nodaemonize --fpm-config %[1]s/php-fpm.conf &
fpm=$!
while [ ! -S %[2]s/fpm.sock ]; do
    kill -0 "$fpm" 2>/dev/null || wait "$fpm"
    sleep 0.05
done
( /usr/sbin/nginx -e stderr -c %[1]s/nginx.conf || true; kill -QUIT "$fpm" 2>/dev/null ) &
while kill -0 "$fpm" 2>/dev/null; do wait "$fpm" || true; done
if [ -n "$stopping" ]; then wait; exit 0; fi
echo 'php-fpm or its Nginx has ended by itself' >&2
exit 1`, p.Config, p.Scratch, before, p.Shared, optionText(p.Options, OptionVersion, `$(php -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')`))
}
