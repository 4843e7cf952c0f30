package plane

// The contexts secrets are sealed for: a sealed value moved to another place
// does not open there.

// SealVariable is the context of one variable's value.
func SealVariable(appID, name string) string { return "variable " + appID + " " + name }

// SealDeployKey is the context of an app's deploy key.
func SealDeployKey(appID string) string { return "deploy key " + appID }

// SealDeployment is the context of a deployment's copy of the variables.
func SealDeployment(id string) string { return "deployment " + id }

// SealDatabase is the context of a database's password.
func SealDatabase(id string) string { return "database " + id }

// SealAuthority is the context of the key of the panel's authority for databases.
func SealAuthority() string { return "database authority" }

// SealCertificate is the context of the key of one engine's certificate.
func SealCertificate(serverID string, e Engine) string {
	return "database certificate " + serverID + " " + string(e)
}

// SealPanelKey is the context of the panel's own SSH key.
func SealPanelKey() string { return "panel key" }
