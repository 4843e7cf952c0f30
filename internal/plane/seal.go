package plane

// The contexts secrets are sealed for: a sealed value moved to another place
// does not open there.

// SealVariable is the context of one variable's value.
func SealVariable(appID, name string) string { return "variable " + appID + " " + name }

// SealDeployKey is the context of an app's deploy key.
func SealDeployKey(appID string) string { return "deploy key " + appID }

// SealDeployment is the context of a deployment's copy of the variables.
func SealDeployment(id string) string { return "deployment " + id }

// SealPanelKey is the context of the panel's own SSH key.
func SealPanelKey() string { return "panel key" }
