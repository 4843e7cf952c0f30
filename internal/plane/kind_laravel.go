package plane

import (
	"encoding/base64"
	"regexp"
)

// KindLaravel is an app made with Laravel.
const KindLaravel Kind = "laravel"

func laravel() Definition {
	d := php()
	d.Kind, d.Label = KindLaravel, "Laravel"
	d.RunOnce = []string{"php artisan migrate --force"}
	d.Options = append(phpOptions("shared"), switchOption(optionNodeJS))
	d.Runtime = func(options map[string]string) Runtime {
		r := phpRuntime(options)
		if options[optionNodeJS] == "true" {
			r.Packages = append(r.Packages, nodejs().Runtime(nil).Packages...)
		}
		return r
	}
	d.Launch = func(p Place) string { return launchFPM(p, laravelCaches) }
	d.Web = func(p Place) Web { return Web{Root: p.Folder + "/public", PHP: true} }
	d.Shared = func(options map[string]string) []string {
		return append([]string{"storage/app"}, list(options["shared"])...)
	}
	d.Setup = func(Place) []string { return []string{needsArtisan, laravelFolders, needsExtensions} }
	d.Settle = nil
	// A configuration that was cached while building would hold the variables of that time, for both slots: each slot
	// makes its own when it starts, in its folder in memory.
	d.Running = func(p Place) map[string]string {
		return map[string]string{
			"APP_ENV": "production", "APP_DEBUG": "false", "LOG_CHANNEL": "stderr", "APP_CONFIG_CACHE": p.Scratch + "/config.php",
			"APP_ROUTES_CACHE": p.Scratch + "/routes.php", "APP_EVENTS_CACHE": p.Scratch + "/events.php", "VIEW_COMPILED_PATH": p.Scratch + "/views",
		}
	}
	d.Secrets = []Secret{{Name: "APP_KEY", Make: func(random []byte) string {
		return "base64:" + base64.StdEncoding.EncodeToString(random[:32])
	}}}
	d.Beside = []Process{
		{Name: "schedule", Kind: Cron, Command: "php artisan schedule:run", On: OnOne, Schedule: "* * * * *"},
		{Name: "queue", Kind: Worker, Command: "php artisan queue:work --tries=3 --max-time=3600", On: OnAll},
	}
	d.Look = func(f Files) Finding {
		found := seen(f, 80, "artisan", "Laravel's command line")
		if found.Sure > 0 && f.Says("composer.json", "laravel/framework") {
			found.Sure, found.Evidence = 90, append(found.Evidence, "composer.json: requires laravel/framework")
		}
		if found.Sure > 0 && f.Says("package.json", `"vite"`) && !f.HasFolder("public/build") {
			found.Evidence = append(found.Evidence, "package.json: builds public/build with Vite, for which it gets Node.js")
			found.Options, found.Build = map[string]string{optionNodeJS: "true"}, []string{"npm ci", "npm run build"}
		}
		if path := laravelHealth(f); found.Sure > 0 && path != "" {
			found.Health, found.Evidence = path, append(found.Evidence, laravelRoutes+": answers health checks at "+path)
		}
		return found
	}
	d.Trust = "trusted proxies must hold 127.0.0.1 only for what X-Forwarded-For tells; REMOTE_ADDR and HTTPS are right already"
	return d
}

// laravelRoutes is where Laravel (11 and later) is told at which path it answers without touching the app's own pages.
const laravelRoutes = "bootstrap/app.php"

func laravelHealth(f Files) string {
	said := regexp.MustCompile(`(?m)^[^/#*]*\bhealth:\s*['"](/[^'"]*)['"]`).FindStringSubmatch(f.Texts[laravelRoutes])
	if said == nil || CheckHealthPath("health_path", said[1]) != nil {
		return ""
	}
	return said[1]
}

const needsArtisan = `[ -f artisan ] || { echo 'there is no artisan here: is Laravel in another folder of the repository (--root), or is this an app of kind php?'; exit 1; }`

const laravelFolders = `mkdir -p bootstrap/cache storage/app storage/logs storage/framework/cache/data storage/framework/sessions storage/framework/views`

// laravelCaches fails where the configuration cannot be read; routes with closures cannot be cached, and need not be.
const laravelCaches = `mkdir -p "$VIEW_COMPILED_PATH"
php artisan config:cache
php artisan route:cache || rm -f "$APP_ROUTES_CACHE"`
