package ui

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// A page promises visitors nothing that an app which is restarted cannot keep.
func TestNoPromiseWhereThereIsAGap(t *testing.T) {
	u := &UI{assets: readAssets(), now: time.Now}
	u.pages = u.readPages()
	app := control.AppView{App: plane.App{Name: "web"}, Unapplied: true, RestartCost: "only one backend serves: visitors get an error meanwhile"}
	shop := control.DatabaseView{Database: plane.Database{Name: "shop", State: plane.DatabaseReady}}
	for _, restarts := range []bool{false, true} {
		if restarts {
			app.Spec.Options = map[string]string{plane.OptionSwitch: plane.SwitchRestart}
		}
		owner := page{Actor: plane.Actor{Role: plane.RoleOwner}}
		for file, v := range map[string]view{
			"environment.html": &variablesView{page: owner, App: app},
			"database.html":    &databasesView{page: owner, App: app, Databases: []databaseShown{{DatabaseView: shop}}},
		} {
			var out bytes.Buffer
			if err := u.pages.render(&out, file, "layout", v); err != nil {
				t.Fatal(err)
			}
			promised := strings.Contains(out.String(), "without interrupting visitors") || strings.Contains(out.String(), "No request is lost.")
			if told := strings.Contains(out.String(), "Only one backend serves: visitors get an error meanwhile."); promised == restarts || told != restarts {
				t.Errorf("%s, restarts %v: promised %v, told of the gap %v", file, restarts, promised, told)
			}
		}
	}
}
