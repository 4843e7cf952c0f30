package plane

// KindPython is an app that speaks WSGI or ASGI.
const KindPython Kind = "python"

func python() Definition {
	return Definition{
		Kind: KindPython, Label: "Python", Slot: "gunicorn for WSGI or uvicorn for ASGI, found by looking, or the start command",
		Build: []string{
			"if [ -f requirements.txt ]; then pip install --no-input -r requirements.txt; elif [ -f pyproject.toml ]; then pip install --no-input .; fi",
			"if [ -f manage.py ] && grep -rqs --include='*.py' --exclude-dir=.venv '^STATIC_ROOT' .; then python manage.py collectstatic --noinput; fi",
		},
		RunOnce: []string{"if [ -f manage.py ]; then python manage.py migrate --noinput; fi"},
		Launch:  launchPython,
		Options: []Option{versionOption("3.11", `3\.[0-9]{1,2}`), switchOption("system-site-packages"), numberOption("workers", 2, 1, 100)},
		Setup: func(p Place) []string {
			if p.Options["system-site-packages"] == "true" {
				return []string{pythonOf(p.Options) + " -m venv --system-site-packages .venv"}
			}
			return []string{pythonOf(p.Options) + " -m venv .venv"}
		},
		Path: func(p Place) []string { return []string{p.Folder + "/.venv/bin"} },
		Variables: func(p Place) map[string]string {
			return map[string]string{
				"VIRTUAL_ENV": p.Folder + "/.venv", "PYTHONUNBUFFERED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
				"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
			}
		},
		Running: func(Place) map[string]string { return map[string]string{"FORWARDED_ALLOW_IPS": "127.0.0.1"} },
		Trust:   "gunicorn and uvicorn believe X-Forwarded-Proto from 127.0.0.1; Django needs its name in ALLOWED_HOSTS",
		Runtime: func(options map[string]string) Runtime {
			python := pythonOf(options)
			return Runtime{
				Role: "packages", Packages: []string{python, python + "-venv"},
				Asked: []string{python, "-c", "import platform; print(platform.python_version())"}, Name: "Python",
				Version: options[OptionVersion], Choice: "python%s-venv",
			}
		},
		Look: func(f Files) Finding {
			all := Finding{}
			for _, look := range []Finding{
				seen(f, 70, "manage.py", "Django's command line"), seen(f, 60, "requirements.txt", "packages of Python"),
				seen(f, 55, "pyproject.toml", "a project in Python"),
			} {
				all.Sure, all.Evidence = max(all.Sure, look.Sure), append(all.Evidence, look.Evidence...)
			}
			servers := f.Says("requirements.txt", "gunicorn") || f.Says("requirements.txt", "uvicorn")
			if f.Texts["requirements.txt"] != "" && !servers {
				all.Evidence = append(all.Evidence, "requirements.txt: has neither gunicorn nor uvicorn, so add one, or say how the app starts")
			}
			return all
		},
	}
}

func pythonOf(options map[string]string) string {
	if version := options[OptionVersion]; version != "" {
		return "python" + version
	}
	return "python3"
}

// launchPython looks for what Django, FastAPI and Flask apps are usually called. The workers are few: two slots run
// beside each other during a deployment.
func launchPython(p Place) string {
	return `workers=` + optionText(p.Options, "workers", "2") + `
found() { [ -f "$1" ] && grep -Eqs "^$2 *(:[^=]*)?= *$3" "$1"; }
need() {
    python -c "import $1" 2>/dev/null && return
    echo "$1 is needed to start this app: add it to requirements.txt, or give the app a --start command" >&2
    exit 1
}
wsgi() { need gunicorn; exec python -m gunicorn --bind "127.0.0.1:$PORT" --workers "$workers" --access-logfile /dev/null "$1"; }
asgi() { need uvicorn; exec python -m uvicorn --host 127.0.0.1 --port "$PORT" --workers "$workers" --no-access-log "$1"; }
for file in */wsgi.py; do
    if [ -f manage.py ] && [ -f "$file" ]; then wsgi "${file%%/*}.wsgi:application"; fi
done
for file in main.py app.py wsgi.py asgi.py application.py app/main.py src/main.py; do
    module=$(echo "${file%.py}" | tr / .)
    for name in app application; do
        if found "$file" "$name" '(fastapi\.)?FastAPI\(|(starlette\.applications\.)?Starlette\('; then asgi "$module:$name"; fi
        if found "$file" "$name" '(get_asgi_application)\('; then asgi "$module:$name"; fi
        if found "$file" "$name" ''; then wsgi "$module:$name"; fi
        if [ -f "$file" ] && grep -Eqs "^def $name\(" "$file"; then wsgi "$module:$name"; fi
    done
done
echo 'no WSGI or ASGI app was found (looked for manage.py with */wsgi.py, and for app or application in main.py, app.py, wsgi.py, asgi.py): give the app a --start command' >&2
exit 1`
}
