// Package auth says who a person is and what their role may do: the one table
// of roles and permissions, password hashes, and tokens.
package auth

import "github.com/serverplane/serverplane/internal/plane"

// Permission names one thing a role may or may not do. Every route demands one.
type Permission string

// The permissions. Reading never shows a secret; what does has its own.
const (
	PanelRead       Permission = "panel.read" // the panel's public key, the API's description
	ServerRead      Permission = "server.read"
	ServerWrite     Permission = "server.write"
	AppRead         Permission = "app.read"
	AppWrite        Permission = "app.write"
	VariableRead    Permission = "variable.read" // names and lengths
	VariableWrite   Permission = "variable.write"
	VariableReveal  Permission = "variable.reveal" // values
	DeploymentRead  Permission = "deployment.read"
	DeploymentWrite Permission = "deployment.write"
	BalancerRead    Permission = "balancer.read" // load balancer and backends
	BalancerWrite   Permission = "balancer.write"
	LogRead         Permission = "log.read" // what apps and Nginx write: it may hold what visitors sent
	DatabaseRead    Permission = "database.read"
	DatabaseWrite   Permission = "database.write"
	ProcessRead     Permission = "process.read" // processes and cron entries
	ProcessWrite    Permission = "process.write"
	RunRead         Permission = "run.read"
	RunCancel       Permission = "run.cancel"
	AuditRead       Permission = "audit.read"
	UserWrite       Permission = "user.write"
)

// Permissions lists them all, for tests that walk every one.
func Permissions() []Permission {
	return []Permission{
		PanelRead, ServerRead, ServerWrite, AppRead, AppWrite, VariableRead, VariableWrite, VariableReveal,
		DeploymentRead, DeploymentWrite, BalancerRead, BalancerWrite, DatabaseRead, DatabaseWrite, ProcessRead, ProcessWrite, LogRead, RunRead, RunCancel, AuditRead, UserWrite,
	}
}

// Allow tells whether the role may. What is not listed here is denied.
func Allow(role plane.Role, p Permission) bool {
	switch p {
	case PanelRead, ServerRead, AppRead, VariableRead, DeploymentRead, BalancerRead, DatabaseRead, ProcessRead, RunRead:
		return role == plane.RoleViewer || role == plane.RoleAdmin || role == plane.RoleOwner
	case ServerWrite, AppWrite, VariableWrite, VariableReveal, DeploymentWrite, BalancerWrite, DatabaseWrite, ProcessWrite, LogRead, RunCancel, AuditRead:
		return role == plane.RoleAdmin || role == plane.RoleOwner
	case UserWrite:
		return role == plane.RoleOwner
	}
	return false
}
