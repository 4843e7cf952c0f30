package plane

import "encoding/base64"

// KindWordPress is a WordPress with its themes and plugins in a repository.
const KindWordPress Kind = "wordpress"

const uploads = "wp-content/uploads"

func wordpress() Definition {
	d := php()
	d.Kind, d.Label = KindWordPress, "WordPress"
	d.Build = []string{installComposer}
	d.HealthPath = "/wp-login.php" // the front page redirects until WordPress is installed, and where plugins say so
	d.Options = phpOptions("shared")
	d.Web = func(p Place) Web { return Web{Root: p.Folder, PHP: true} }
	d.Shared = func(options map[string]string) []string { return append([]string{uploads}, list(options["shared"])...) }
	d.Setup = func(Place) []string { return []string{needsWordPress, wpConfig} }
	d.Settle = nil
	for _, name := range []string{
		"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY", "AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT",
	} {
		d.Secrets = append(d.Secrets, Secret{Name: name, Make: func(random []byte) string { return base64.RawURLEncoding.EncodeToString(random[:48]) }})
	}
	d.Beside = []Process{{Name: "wp-cron", Kind: Cron, Command: "php wp-cron.php", On: OnOne, Schedule: "*/5 * * * *"}}
	d.Look = func(f Files) Finding {
		if found := seen(f, 95, "wp-settings.php", "WordPress itself"); found.Sure > 0 {
			return found
		}
		if f.HasFolder("wp-content") {
			return Finding{Sure: 85, Evidence: []string{"wp-content/: themes and plugins of WordPress"}}
		}
		return Finding{}
	}
	d.Trust = "REMOTE_ADDR is the visitor and HTTPS is on behind https, so that no redirect goes in circles"
	return d
}

const needsWordPress = `if [ ! -f wp-settings.php ] && { [ -d wp-content/themes ] || [ -d wp-content/plugins ]; }; then echo 'the repository holds wp-content only: put the rest of WordPress beside it'; exit 1; fi
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
