package plane

import (
	"encoding/base64"
	"path"
	"strings"
)

// KindWordPress is a WordPress whose themes and plugins, and perhaps WordPress itself, are in a repository.
const KindWordPress Kind = "wordpress"

const uploads = "wp-content/uploads"

// optionCore is where WordPress itself comes from: the repository, or the package sources of each server.
const (
	optionCore     = "core"
	coreRepository = "repository"
	coreDebian     = "debian"
)

func wordpress() Definition {
	d := php()
	d.Kind, d.Label = KindWordPress, "WordPress"
	d.Build = []string{installComposer}
	d.HealthPath = "/wp-login.php" // the front page redirects until WordPress is installed, and where plugins say so
	d.Options = append(phpOptions("shared"), Option{
		Name: optionCore, Default: coreRepository, Rule: "must be repository or debian", Accepts: func(s string) bool { return s == coreRepository || s == coreDebian },
	})
	d.Web = func(p Place) Web { return Web{Root: p.Folder, PHP: true} }
	d.Shared = func(options map[string]string) []string { return append([]string{uploads}, list(options["shared"])...) }
	d.Setup = func(p Place) []string {
		if p.Options[optionCore] == coreDebian {
			return []string{needsExtensions, needsContent, fetchCore}
		}
		return []string{needsExtensions, needsWordPress, wpConfig}
	}
	d.Settle = func(p Place) []string {
		if p.Options[optionCore] == coreDebian {
			return []string{layCore, wpConfig}
		}
		return nil
	}
	d.Carries = func(p Place) []string {
		if p.Options[optionCore] == coreDebian {
			return []string{"cat", p.Folder + "/" + coreVersion}
		}
		return nil
	}
	for _, name := range []string{
		"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY", "AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT",
	} {
		d.Secrets = append(d.Secrets, Secret{Name: name, Make: func(random []byte) string { return base64.RawURLEncoding.EncodeToString(random[:48]) }})
	}
	d.Beside = []Process{{Name: "wp-cron", Kind: Cron, Command: "php wp-cron.php", On: OnOne, Schedule: "*/5 * * * *"}}
	d.Cautions = func(p Place) []string { return []string{"/bin/sh", "-c", lookAtUploads, "sh", p.Folder} }
	d.Look = lookWordPress
	d.Trust = "REMOTE_ADDR is the visitor and HTTPS is on behind https, so that no redirect goes in circles"
	return d
}

// lookWordPress knows WordPress itself, a wp-content, and what is in one: a theme at least, since other programs have plugins, too.
func lookWordPress(f Files) Finding {
	if found := seen(f, 95, "wp-settings.php", "WordPress itself"); found.Sure > 0 {
		return found
	}
	found := Finding{Options: map[string]string{optionCore: coreDebian}}
	for _, kind := range []string{"themes", "plugins", "mu-plugins"} {
		if f.HasFolder("wp-content/" + kind) {
			found.Sure, found.Evidence = 85, append(found.Evidence, "wp-content/"+kind+"/: what is added to a WordPress")
		}
	}
	if theme := f.theme(); found.Sure == 0 && theme != "" {
		found.Sure, found.Evidence = 75, append(found.Evidence, theme+": a theme of WordPress, as in its wp-content")
	}
	if found.Sure == 0 {
		return Finding{}
	}
	found.Evidence = append(found.Evidence, "no wp-settings.php: WordPress itself comes from the package sources of the servers (core=debian)")
	return found
}

// theme is the style of a theme in themes/; empty: there is none.
func (f Files) theme() string {
	for _, p := range f.Paths {
		folder, is := strings.CutSuffix(p, "/style.css")
		if is && path.Dir(folder) == "themes" && (f.Has(folder+"/index.php") || f.Has(folder+"/functions.php") || f.Has(folder+"/templates/index.html")) {
			return p
		}
	}
	return ""
}

const needsWordPress = `if [ ! -f wp-settings.php ] && { [ -d wp-content/themes ] || [ -d wp-content/plugins ] || [ -d wp-content/mu-plugins ] || [ -d themes ]; }; then echo 'the repository holds what belongs into wp-content, and not WordPress itself: app set --option core=debian takes that from the package sources of the servers'; exit 1; fi
[ -f wp-settings.php ] || { echo 'there is no WordPress here (no wp-settings.php): is it in another folder of the repository (--root)?'; exit 1; }`

// wpConfig holds no secret: it reads variables. A wp-config.php of the repository's own stays.
const wpConfig = `[ -f wp-config.php ] || cat > wp-config.php <<'EOF'
<?php // Written by ServerPlane: everything comes from the app's environment variables.
function sp_env($name, $default = '') { $value = getenv($name); return $value === false ? $default : $value; }
define('DB_NAME', sp_env('DB_DATABASE'));
define('DB_USER', sp_env('DB_USERNAME'));
define('DB_PASSWORD', sp_env('DB_PASSWORD'));
define('DB_HOST', sp_env('DB_HOST', '127.0.0.1') . ':' . sp_env('DB_PORT', '3306'));
define('DB_CHARSET', sp_env('DB_CHARSET', 'utf8mb4'));
define('DB_COLLATE', '');
if (sp_env('MYSQL_SSL') !== '') define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT);
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) define($name, sp_env($name));
if (sp_env('WP_HOME') !== '') { define('WP_HOME', sp_env('WP_HOME')); define('WP_SITEURL', sp_env('WP_SITEURL', WP_HOME)); }
define('WP_DEBUG', sp_env('WP_DEBUG') === 'true');
define('DISALLOW_FILE_MODS', true); // what one backend installed would not be there on the others
define('DISABLE_WP_CRON', true);    // run by one owner, not by whichever visitor comes
$table_prefix = sp_env('WP_TABLE_PREFIX', 'wp_');
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
EOF`

// lookAtUploads knows plugins that keep media elsewhere by what their folders are usually called.
const lookAtUploads = `cd "$1" || exit 1
seen=
for plugin in wp-content/plugins/* wp-content/mu-plugins/*; do
    case $(basename "$plugin" | tr A-Z a-z) in
    amazon-s3-and-cloudfront*|*offload*|s3-uploads*|wp-stateless*|ilab-media-tools*|infinite-uploads*|cloudinary*) seen=$plugin;;
    esac
done
if [ -n "$seen" ]; then
    echo "uploads: $seen keeps media in object storage, if it is switched on"
else
    echo 'warning: uploads: no plugin that keeps media in object storage is in wp-content/plugins, so that what one backend takes is not on the others'
fi
count=$(find wp-content/uploads/ -type f 2>/dev/null | head -n 1000 | wc -l)
if [ "$count" -ge 1000 ]; then count='1000 files or more'; elif [ "$count" = 1 ]; then count='1 file'; else count="$count files"; fi
[ "$count" = '0 files' ] || echo "warning: uploads: $count in wp-content/uploads here will not be on another backend"`

const needsContent = `if [ -f wp-settings.php ]; then echo 'the repository holds WordPress itself (wp-settings.php): app set --option core=repository uses that one'; exit 1; fi
for folder in wp-content/themes wp-content/plugins wp-content/mu-plugins themes plugins mu-plugins; do [ -d "$folder" ] && exit 0; done
echo 'there is neither a wp-content with themes or plugins here, nor what is in one: is it in another folder of the repository (--root)?'; exit 1`

// coreFolder is in the release while it is built; coreVersion stays, to tell what was laid over.
const (
	coreFolder  = ".wordpress"
	coreVersion = coreFolder + "/version"
)

// fetchCore gets WordPress as npm or composer get packages: by the app's own user into the release, signed by Debian, out of
// lists that are read anew. Nothing is installed on the server and no other app or release sees any of it. What Debian
// packages apart from WordPress is fetched with it, and its links become files.
const fetchCore = `rm -rf .wordpress && mkdir -p .wordpress/lists/partial .wordpress/cache/archives/partial .wordpress/root && cd .wordpress
own() { apt-get -q -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o Acquire::Languages=none "$@" >>log 2>&1 || { cat log; echo "WordPress could not be fetched: does this server's package sources have it (Debian's main, Ubuntu's universe)?"; exit 1; }; }
own update
own download wordpress
own download $(dpkg-deb -f wordpress_*.deb Depends Recommends | grep -oE '(libjs-[a-z0-9.+-]+|php-getid3|wordpress-theme-[a-z]+)' | sort -u)
for package in *.deb; do dpkg-deb -x "$package" root; done
rm -f root/usr/share/wordpress/.htaccess root/usr/share/wordpress/wp-config.php
cp -rL root/usr/share/wordpress core
echo "WordPress $(dpkg-deb -f wordpress_*.deb Version)" | tee version
rm -rf lists cache root log ./*.deb`

// layCore puts WordPress below what the repository has: nothing of that is replaced. Where the repository is the content of a
// wp-content, that is made of it first; shared folders are links in there already.
const layCore = `over() { tar -C "$1" -c . | tar -C "$2" -x --skip-old-files --keep-directory-symlink; }
if [ ! -d wp-content/themes ] && [ ! -d wp-content/plugins ] && [ ! -d wp-content/mu-plugins ]; then
    mkdir -p wp-content
    for name in * .[!.]*; do
        case $name in wp-content|.wordpress|wp-config.php|'*'|'.[!.]*') continue;; esac
        if [ -d "wp-content/$name" ]; then over "$name" "wp-content/$name"; rm -rf "$name"; else mv "$name" wp-content/; fi
    done
fi
over .wordpress/core . && rm -rf .wordpress/core
[ -f wp-settings.php ] || { echo 'the package of WordPress is not what it was: it has no wp-settings.php'; exit 1; }`
