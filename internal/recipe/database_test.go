package recipe_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
)

func shop(e plane.Engine) plane.Database {
	return plane.Database{ID: "dbs_aaaaaaaaaaaaaaaa", Name: "shop-data", AppID: app().ID, ServerID: server(1).ID, Engine: e, State: plane.DatabaseReady}
}

func addrs(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// TestEngine: an address is opened once however many databases it reaches,
// loopback never, and only what a backend needs makes the engine listen outside.
func TestEngine(t *testing.T) {
	for _, e := range []plane.Engine{plane.PostgreSQL, plane.MariaDB} {
		other := shop(e)
		other.ID, other.Name = "dbs_bbbbbbbbbbbbbbbb", "other"
		gone := shop(e)
		gone.ID, gone.Name = "dbs_cccccccccccccccc", "gone"
		render := func(guests ...recipe.Guest) map[string]any {
			t.Helper()
			play, err := recipe.Engine(recipe.EngineState{
				Run: "run_aaaaaaaaaaaaaaaa", Server: server(1), Guests: guests,
				Engine: plane.DatabaseServer{Engine: e, Generation: 7, Port: e.Port(), Certificate: []byte("certificate")}, Key: []byte("key"), CA: []byte("ca"),
			})
			if err != nil {
				t.Fatal(err)
			}
			var spec map[string]any
			if err := json.Unmarshal(play.Files[0].Content, &spec); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(play.Files[0].Content), "a secret password") || len(play.Vars) != 0 {
				t.Error("the password itself is part of the play")
			}
			return spec
		}
		near := recipe.Guest{Database: shop(e), Password: "a secret password", Addresses: addrs("127.0.0.1"), Fresh: true}
		if spec := render(near); spec["open"] != false || len(spec["rules"].([]any)) != 0 {
			t.Errorf("%s is opened for nobody: %v", e, spec["rules"])
		}
		near.Addresses = addrs("127.0.0.1", "10.0.0.2", "10.0.0.3")
		spec := render(near,
			recipe.Guest{Database: other, Password: "a secret password", Addresses: addrs("127.0.0.1", "10.0.0.2")},
			recipe.Guest{Database: gone, Password: "a secret password", Addresses: addrs("10.0.0.9"), Gone: true})
		for _, r := range spec["rules"].([]any) {
			if _, named := r.(map[string]any)["ports"]; named {
				t.Errorf("%s: a rule names a port that only the engine knows: %v", e, r)
			}
		}
		guest, leaving := spec["databases"].([]any)[0].(map[string]any), spec["gone"].([]any)[0].(map[string]any)
		if len(guest["addresses"].([]any)) != 3 || guest["shut"] != nil || leaving["shut"] == "" || len(leaving["addresses"].([]any)) != 0 {
			t.Errorf("%s: %v, %v", e, guest, leaving)
		}
		if spec["open"] != true || len(spec["rules"].([]any)) != 2 || len(spec["databases"].([]any)) != 2 || len(spec["gone"].([]any)) != 1 || spec["generation"] != 7.0 {
			t.Errorf("%s: %v", e, spec)
		}
		if access := spec["access"].(string); strings.Contains(access, "sp_gone") || strings.Contains(access, "10.0.0.9") || !strings.Contains(access, "host sp_other sp_other 10.0.0.2/32") {
			t.Errorf("%s: %s", e, access)
		}
	}
}

// TestPrepareContainerWithDatabase: 127.0.0.1 in a container is the container. On the primary the database's address leads to the
// primary's loopback, and the certificate is seen inside.
func TestPrepareContainerWithDatabase(t *testing.T) {
	p := preparation(nil, seat(1), seat(2))
	p.App.Kind, p.Plan.Spec = plane.KindDocker, plane.Spec{HealthPath: "/"}
	p.Databases = []recipe.Supply{{Database: shop(plane.PostgreSQL), Password: "p w", Primary: server(1), Port: 5432, TLS: true, CA: []byte("ca")}}
	play, err := recipe.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range play.Files {
		if !strings.HasPrefix(f.Name, "slot-") {
			continue
		}
		text := string(f.Content)
		for _, want := range []string{
			`"DB_HOST=10.0.0.1"`, `"PGSSLROOTCERT=/etc/serverplane/apps/web/b/database-ca.pem"`,
			`"/etc/serverplane/apps/web/b/database-ca.pem:/etc/serverplane/apps/web/b/database-ca.pem:ro"`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", f.Name, want)
			}
		}
		if door := strings.Contains(text, "-d 10.0.0.1/32 -p tcp --dport 5432 -j DNAT"); door != (f.Name == "slot-s1.tar") {
			t.Errorf("%s has a door: %v", f.Name, door)
		}
	}
}

// TestPrepareWithDatabase: what is computed differs by server, wins over what the
// app recorded long ago, and its defaults give way.
func TestPrepareWithDatabase(t *testing.T) {
	p := preparation(map[string]string{"DB_HOST": "of old", "PGSSLMODE": "disable", "PLAIN": "x"}, seat(1), seat(2))
	p.Databases = []recipe.Supply{{Database: shop(plane.PostgreSQL), Password: "p w", Primary: server(1), Port: 5432, TLS: true, CA: []byte("ca")}}
	play, err := recipe.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range play.Files {
		if !strings.HasPrefix(f.Name, "slot-") {
			continue
		}
		host := map[string]string{"slot-s1.tar": "127.0.0.1", "slot-s2.tar": "10.0.0.1"}[f.Name]
		text := string(f.Content)
		for _, want := range []string{
			"DB_HOST=\"" + host + "\"", "PGSSLMODE=\"disable\"", "PGSSLROOTCERT=\"/etc/serverplane/apps/web/b/database-ca.pem\"", "PLAIN=\"x\"",
			"sp_shop_data:p%20w@" + host + ":5432/sp_shop_data?sslmode=verify-full", "NODE_EXTRA_CA_CERTS=\"/etc/serverplane/apps/web/b/ca-bundle.pem\"", "apps/web/b/database-ca.pem",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", f.Name, want)
			}
		}
		if strings.Contains(text, "of old") {
			t.Errorf("%s has the recorded host", f.Name)
		}
	}
}
