package still

// Sights says, for every page of the dashboard, what its picture is called and
// where it is on a filled panel. A page that is not here fails TestPages.
func Sights(n Newest) map[string][]Sight {
	const app, tab = "/apps/" + Shop, "/apps/" + Shop + "/load-balancer"
	return map[string][]Sight{
		"/{$}":            {{"overview", "/"}},
		"/live":           nil, // a page's stream
		"/runs":           {{"runs", "/runs"}, {"runs-failed", "/runs?state=failed"}},
		"/runs/{id}":      {{"run", n.Run}, {"run-failed", n.Ended}},
		"/runs/{id}/log":  nil, // plain text
		"/servers":        {{"servers", "/servers"}},
		"/servers/new":    {{"server-new", "/servers/new"}},
		"/servers/{name}": {{"server", "/servers/" + First}, {"server-unreachable", "/servers/s5"}},

		"/apps":                         {{"apps", "/apps"}},
		"/apps/new":                     {{"app-new", "/apps/new"}},
		"/apps/{name}":                  {{"app", app}, {"app-fresh", "/apps/" + Fresh}},
		"/apps/{name}/deployments":      {{"deployments", app + "/deployments"}},
		"/apps/{name}/deployments/{id}": {{"deployment", n.Deployment}},
		"/apps/{name}/database":         {{"database", app + "/database"}, {"database-none", "/apps/" + Single + "/database"}},
		"/apps/{name}/logs":             {{"logs", app + "/logs"}},
		"/apps/{name}/processes":        {{"processes", app + "/processes"}, {"processes-none", "/apps/" + Single + "/processes"}},
		"/apps/{name}/settings":         {{"app-settings", app + "/settings"}},
		"/apps/{name}/environment":      {{"environment", app + "/environment"}},

		"/apps/{name}/processes/new/{kind}":       {{"process-new", app + "/processes/new/process"}, {"cron-new", app + "/processes/new/cron"}},
		"/apps/{name}/processes/{kind}/{process}": {{"process", app + "/processes/process/" + Mailer}, {"cron", app + "/processes/cron/" + Tidier}},

		"/apps/{name}/load-balancer":                          {{"load-balancer", tab}, {"load-balancer-off", "/apps/" + Single + "/load-balancer"}},
		"/apps/{name}/load-balancer/settings":                 {{"load-balancer-settings", tab + "/settings"}},
		"/apps/{name}/load-balancer/disable":                  {{"load-balancer-disable", tab + "/disable"}},
		"/apps/{name}/load-balancer/add":                      {{"backend-new", tab + "/add"}},
		"/apps/{name}/load-balancer/backends/{server}":        {{"backend", tab + "/backends/s2"}},
		"/apps/{name}/load-balancer/backends/{server}/off":    {{"backend-off", tab + "/backends/s1/off"}},
		"/apps/{name}/load-balancer/backends/{server}/share":  {{"backend-share", tab + "/backends/s4/share"}},
		"/apps/{name}/load-balancer/backends/{server}/remove": {{"backend-remove", tab + "/backends/s2/remove"}},

		"/users":      {{"users", "/users"}},
		"/users/{id}": {{"user", n.User}},
		"/audit":      {{"audit", "/audit"}},
		"/account":    {{"account", "/account"}},
		"/panel-key":  {{"panel-key", "/panel-key"}},
		"/sign-in":    nil, // seen before anybody is signed in, as the next one
		"/setup":      nil,
	}
}

// Sight is one page in one state.
type Sight struct{ Name, Path string }
