package still

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// fillDatabase gives Shop a database on its primary, which its backends reach.
func (f *filler) fillDatabase(ctx context.Context) error {
	shop, home := f.apps[0], f.servers[0]
	d := plane.Database{
		ID: plane.NewID(plane.PrefixDatabase), Name: Shop, AppID: shop.ID, ServerID: home.ID, Engine: plane.PostgreSQL, Revision: 1, Pool: 10,
		State: plane.DatabaseReady, Reason: f.mark, Since: f.ago(60 * time.Hour), CreatedAt: f.ago(61 * time.Hour),
		Stranger: plane.Proof{Verdict: plane.Fail, At: f.ago(5 * time.Hour), Vantage: f.said("s7"), Answer: f.said("no pg_hba.conf entry for host")},
	}
	d.PasswordAt, d.Former = f.ago(50*time.Hour), []byte("sealed")
	d.Backups = plane.BackupPlan{Schedule: "daily@03:00", Keep: 14, DueSince: f.ago(12 * time.Hour), Trouble: f.said("failed: no space left on device"), At: f.ago(3 * time.Hour)}
	var err error
	if d.Password, err = f.box.Seal([]byte("swordfish"), plane.SealDatabase(d.ID)); err != nil {
		return err
	}
	if err := f.tx.SetDatabaseServer(ctx, plane.DatabaseServer{
		ServerID: home.ID, Engine: d.Engine, Generation: 1, Port: 5432, Version: f.said("15.13"), Open: true, TLS: true, MaxConnections: 100, Reserved: 3, SeenAt: f.ago(time.Hour),
	}); err != nil {
		return err
	}
	if err := f.tx.CreateDatabase(ctx, d); err != nil {
		return err
	}
	if err := f.tx.SetStranger(ctx, d.ID, d.Stranger); err != nil {
		return err
	}
	dump := plane.Backup{
		ID: plane.NewID(plane.PrefixBackup), DatabaseID: d.ID, File: "shop.dump", Path: f.said("/var/backups/serverplane/databases/shop/shop.dump"), Bytes: 88_213,
		Rows: map[string]int64{f.said("orders"): 1204, "people": 311}, Actor: Owner, CreatedAt: f.ago(9 * time.Hour),
	}
	if err := f.tx.CreateBackup(ctx, dump); err != nil {
		return err
	}
	backends, err := f.tx.BackendsOf(ctx, shop.ID)
	if err != nil {
		return err
	}
	for k, b := range backends {
		a := plane.Access{DatabaseID: d.ID, BackendID: b.ID, Address: home.PrivateAddress, Proof: plane.Proof{
			Verdict: plane.Pass, At: f.ago(5 * time.Hour), Vantage: f.said("s1"), Answer: f.said("1"), TLS: "TLSv1.3", Latency: plane.Duration(3 * time.Millisecond),
		}}
		if k == 1 {
			a.Proof.Verdict, a.Proof.Answer, a.Proof.TLS = plane.Fail, f.said("FATAL: too many connections for role"), ""
		}
		if err := f.tx.SetAccess(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// spoken is what engines say, on servers that do not exist.
type spoken struct{ p *Panel }

func (s spoken) LookAtDatabase(_ context.Context, on plane.Server, _ plane.DatabaseQuery) (plane.DatabaseLook, error) {
	return plane.DatabaseLook{
		Vantage: on.Name + ", over SSH", Version: "15.13" + s.p.mark, Listening: []string{"10.0.0.1:5432", "127.0.0.1:5432" + s.p.mark}, Bytes: 734_003_200, Used: 31, Limit: 100, Reserved: 3,
		Connections: []plane.ConnectionsFrom{{Address: on.PrivateAddress.String(), Used: 9}, {Address: "10.0.0.77" + s.p.mark, Used: 1}},
		Encrypted:   plane.EncryptedShare{Sessions: 28, TLS: 27},
	}, nil
}
