package ui

import (
	"github.com/serverplane/serverplane/internal/auth"
)

// Anyone is the permission of the few pages for people who are not signed in.
// It is no permission of auth's: no role holds it, so that a page cannot be
// opened to the world by mistake.
const Anyone auth.Permission = "anyone"

// Signed is held by everybody who is signed in: what is their own.
const Signed = auth.PanelRead

// Route is one address of the dashboard and what it demands.
type Route struct {
	Method     string
	Pattern    string // as net/http's ServeMux takes it
	Permission auth.Permission
	handle     func(v *visit) error
}

// Routes lists every page and form, for the mux and for the test that walks
// them. What is not listed here does not exist.
func (u *UI) Routes() []Route {
	return []Route{
		{"GET", "/{$}", auth.AppRead, u.overview},
		{"GET", "/live", Signed, u.live},

		{"GET", "/runs", auth.RunRead, u.runs},
		{"GET", "/runs/{id}", auth.RunRead, u.run},
		{"GET", "/runs/{id}/log", auth.RunRead, u.runLog},
		{"POST", "/runs/{id}/cancel", auth.RunCancel, u.cancelRun},
		{"POST", "/runs/{id}/repeat", auth.RunCancel, u.repeatRun},

		{"GET", "/servers", auth.ServerRead, u.servers},
		{"GET", "/servers/new", auth.ServerWrite, u.newServer},
		{"POST", "/servers/new", auth.ServerWrite, u.addServer},
		{"GET", "/servers/{name}", auth.ServerRead, u.server},
		{"GET", "/panel-key", auth.PanelRead, u.panelKey},
		{"POST", "/servers/{name}/survey", auth.ServerWrite, u.surveyServer},
		{"POST", "/servers/{name}/provision", auth.ServerWrite, u.provisionServer},
		{"POST", "/servers/{name}/remove", auth.ServerWrite, u.removeServer},

		{"GET", "/apps", auth.AppRead, u.apps},
		{"GET", "/apps/new", auth.AppWrite, u.newApp},
		{"POST", "/apps/new", auth.AppWrite, u.createApp},
		{"GET", "/apps/{name}", auth.AppRead, u.app},
		{"POST", "/apps/{name}/remove", auth.AppWrite, u.removeApp},
		{"GET", "/apps/{name}/settings", auth.AppWrite, u.appSettings},
		{"POST", "/apps/{name}/settings", auth.AppWrite, u.changeApp},

		{"GET", "/apps/{name}/deployments", auth.DeploymentRead, u.deployments},
		{"POST", "/apps/{name}/deployments", auth.DeploymentWrite, u.deploy},
		{"POST", "/apps/{name}/rollback", auth.DeploymentWrite, u.rollback},
		{"GET", "/apps/{name}/deployments/{id}", auth.DeploymentRead, u.deployment},
		{"POST", "/apps/{name}/deployments/{id}/cancel", auth.DeploymentWrite, u.cancelDeployment},
		{"POST", "/apps/{name}/deployments/{id}/rollback", auth.DeploymentWrite, u.rollback},

		{"GET", "/apps/{name}/environment", auth.VariableRead, u.variables},
		{"POST", "/apps/{name}/environment/values", auth.VariableReveal, u.revealVariables},
		{"POST", "/apps/{name}/environment", auth.VariableWrite, u.setVariables},
		{"POST", "/apps/{name}/environment/unset", auth.VariableWrite, u.unsetVariables},
		{"POST", "/apps/{name}/environment/apply", auth.VariableWrite, u.applyVariables},

		{"GET", "/apps/{name}/logs", auth.LogRead, u.logs},
		{"GET", "/apps/{name}/processes", auth.ProcessRead, u.processes},
		{"POST", "/apps/{name}/processes/check", auth.ProcessWrite, u.checkProcesses},
		{"GET", "/apps/{name}/processes/new/{kind}", auth.ProcessWrite, u.newProcess},
		{"POST", "/apps/{name}/processes/new/{kind}", auth.ProcessWrite, u.createProcess},
		{"GET", "/apps/{name}/processes/{kind}/{process}", auth.ProcessWrite, u.process},
		{"POST", "/apps/{name}/processes/{kind}/{process}", auth.ProcessWrite, u.setProcess},
		{"POST", "/apps/{name}/processes/{kind}/{process}/move", auth.ProcessWrite, u.moveProcess},
		{"POST", "/apps/{name}/processes/{kind}/{process}/remove", auth.ProcessWrite, u.removeProcess},

		{"GET", "/apps/{name}/load-balancer", auth.BalancerRead, u.balancer},
		{"POST", "/apps/{name}/load-balancer/enable", auth.BalancerWrite, u.enableBalancer},
		{"GET", "/apps/{name}/load-balancer/settings", auth.BalancerWrite, u.balancerSettings},
		{"POST", "/apps/{name}/load-balancer/settings", auth.BalancerWrite, u.setBalancer},
		{"GET", "/apps/{name}/load-balancer/disable", auth.BalancerWrite, u.disablePage},
		{"POST", "/apps/{name}/load-balancer/disable", auth.BalancerWrite, u.disableBalancer},
		{"GET", "/apps/{name}/load-balancer/add", auth.BalancerWrite, u.newBackend},
		{"POST", "/apps/{name}/load-balancer/add", auth.BalancerWrite, u.addBackend},
		{"GET", "/apps/{name}/load-balancer/backends/{server}", auth.BalancerRead, u.backend},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/continue", auth.BalancerWrite, u.continueBackend},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/on", auth.BalancerWrite, u.switchOn},
		{"GET", "/apps/{name}/load-balancer/backends/{server}/off", auth.BalancerWrite, u.switchOffPage},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/off", auth.BalancerWrite, u.switchOff},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/check", auth.BalancerWrite, u.checkBackend},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/repair", auth.BalancerWrite, u.repairBackend},
		{"GET", "/apps/{name}/load-balancer/backends/{server}/share", auth.BalancerWrite, u.backendShare},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/share", auth.BalancerWrite, u.setBackend},
		{"GET", "/apps/{name}/load-balancer/backends/{server}/remove", auth.BalancerWrite, u.removeBackendPage},
		{"POST", "/apps/{name}/load-balancer/backends/{server}/remove", auth.BalancerWrite, u.removeBackend},

		{"GET", "/apps/{name}/database", auth.DatabaseRead, u.databases},
		{"POST", "/apps/{name}/database", auth.DatabaseWrite, u.createDatabase},
		{"POST", "/apps/{name}/database/{database}/settings", auth.DatabaseWrite, u.setDatabase},
		{"POST", "/apps/{name}/database/{database}/prove", auth.DatabaseWrite, u.proveDatabase},
		{"POST", "/apps/{name}/database/{database}/backup", auth.DatabaseWrite, u.backupDatabase},
		{"POST", "/apps/{name}/database/{database}/rotate-password", auth.DatabaseWrite, u.rotatePassword},
		{"POST", "/apps/{name}/database/{database}/restore", auth.DatabaseWrite, u.restoreDatabase},
		{"POST", "/apps/{name}/database/{database}/remove", auth.DatabaseWrite, u.removeDatabase},

		{"GET", "/users", auth.UserWrite, u.users},
		{"POST", "/users", auth.UserWrite, u.createUser},
		{"GET", "/users/{id}", auth.UserWrite, u.user},
		{"POST", "/users/{id}/role", auth.UserWrite, u.setRole},
		{"POST", "/users/{id}/remove", auth.UserWrite, u.removeUser},
		{"GET", "/audit", auth.AuditRead, u.audit},

		{"GET", "/account", Signed, u.account},
		{"POST", "/account/password", Signed, u.changePassword},
		{"POST", "/account/tokens", Signed, u.createToken},
		{"POST", "/account/tokens/{id}/revoke", Signed, u.revokeToken},
		{"POST", "/account/sessions/{id}/revoke", Signed, u.revokeSession},

		{"GET", "/sign-in", Anyone, u.signInPage},
		{"POST", "/sign-in", Anyone, u.signIn},
		{"GET", "/setup", Anyone, u.setupPage},
		{"POST", "/setup", Anyone, u.setup},
		{"POST", "/sign-out", Signed, u.signOut},
	}
}
