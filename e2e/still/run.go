package still

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

const elsewhere = "ins_another_panel" // works on what is under way

// fillRuns writes Runs that ended, one that is under way and one that waits for it.
func (f *filler) fillRuns(ctx context.Context) error {
	for n := range f.Runs {
		r := f.run(n, f.ago(time.Duration(f.Runs-n)*23*time.Minute))
		state, reason := plane.RunSucceeded, ""
		switch n % 9 {
		case 4:
			state, reason = plane.RunFailed, f.said("npm ci ended with 1: npm ERR! network request to the registry failed")
		case 7:
			state, reason = plane.RunInterrupted, f.said("its panel ended while it was at: build")
		}
		if err := f.ended(ctx, r, state, reason); err != nil {
			return err
		}
	}
	r := f.run(0, f.ago(40*time.Second))
	if err := f.begun(ctx, r, time.Hour); err != nil {
		return err
	}
	waits := f.run(0, f.ago(9*time.Second))
	waits.Kind = plane.RunAdd
	return f.tx.Enqueue(ctx, waits)
}

func (f *filler) run(n int, at time.Time) plane.Run {
	a := f.apps[n%len(f.apps)]
	kinds := []plane.RunKind{plane.RunDeploy, plane.RunAdd, plane.RunEnable, plane.RunLeave, plane.RunProvision, plane.RunRepair}
	r := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: kinds[n%len(kinds)], AppID: a.ID, Servers: []string{f.servers[n%len(f.servers)].ID}, Locks: []string{"app:" + a.ID},
		Args: json.RawMessage("{}"), Actor: Owner, CreatedAt: at,
	}
	if r.Kind == plane.RunProvision {
		r.AppID, r.ServerID, r.Locks = "", r.Servers[0], nil
	}
	return r
}

func (f *filler) begun(ctx context.Context, r plane.Run, lease time.Duration) error {
	if err := f.tx.Enqueue(ctx, r); err != nil {
		return err
	}
	claimed, ok, err := f.tx.Claim(ctx, elsewhere, r.CreatedAt.Add(time.Second), lease)
	if err != nil || !ok || claimed.ID != r.ID {
		return fmt.Errorf("claim %s: got %q, %v: %w", r.ID, claimed.ID, ok, err)
	}
	if err := f.tx.Progress(ctx, r.ID, elsewhere, claimed.Attempt, "build", 2, 7); err != nil {
		return err
	}
	return f.log(ctx, r)
}

func (f *filler) ended(ctx context.Context, r plane.Run, state plane.RunState, reason string) error {
	if err := f.begun(ctx, r, time.Minute); err != nil {
		return err
	}
	if r.Kind == plane.RunLeave {
		lines := []plane.ReceiptLine{
			{Server: f.said("s2"), What: f.said("process and units"), Done: true},
			{Server: f.said("s2"), What: f.said("files that exist nowhere else"), Detail: f.said("/var/backups/serverplane/shop-20260304050607.tar.zst, 14 files"), Done: true},
		}
		if err := f.tx.SetReceipt(ctx, r.ID, elsewhere, 1, lines); err != nil {
			return err
		}
	}
	return f.tx.Finish(ctx, r.ID, elsewhere, 1, state, reason, r.CreatedAt.Add(48*time.Second))
}

// log is what a Run said. Only the newest have much to say.
func (f *filler) log(ctx context.Context, r plane.Run) error {
	steps := []string{"fetch the commit", "ship it", "build"}
	var events []plane.Event
	for k, step := range steps {
		events = append(events, plane.Event{Time: r.CreatedAt.Add(time.Duration(k*9+1) * time.Second), Kind: plane.EventStep, Step: step, Text: step})
	}
	for k := range f.Lines {
		events = append(events, plane.Event{
			Time: r.CreatedAt.Add(30 * time.Second), Kind: plane.EventOutput, Server: f.servers[0].Name, Step: "build", Text: f.said(fmt.Sprintf("added %d packages in %d s", 60+k, 2+k%5)),
		})
	}
	_, err := f.tx.AppendEvents(ctx, r.ID, events)
	return err
}

func (f *filler) fillAudits(ctx context.Context) error {
	lines := []struct{ action, subject, detail string }{
		{"app.create", Shop, ""}, {"lb.set", Shop, "method round-robin to least-connections"}, {"backend.off", Shop + " on s3", ""}, {"server.add", "s4", ""},
		{"env.reveal", Shop, ""}, {"app.deploy", Shop, "main"}, {"session.create", Owner, ""},
	}
	for n := range f.Audits {
		l := lines[n%len(lines)]
		err := f.tx.AppendAudit(ctx, plane.Audit{
			ID: plane.NewID(plane.PrefixAudit), Time: f.ago(time.Duration(f.Audits-n) * 11 * time.Minute), Email: Owner, From: "198.51.100.7", Action: l.action, Subject: f.said(l.subject), Detail: f.said(l.detail),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fillPeople writes a second person, and where the owner is signed in besides.
func (f *filler) fillPeople(ctx context.Context) error {
	ben := plane.User{ID: plane.NewID(plane.PrefixUser), Email: f.said("ben@example.com"), Role: plane.RoleViewer, CreatedAt: f.ago(150 * time.Hour)}
	if err := f.tx.CreateUser(ctx, ben); err != nil {
		return err
	}
	owner, err := f.tx.UserByEmail(ctx, Owner)
	if err != nil {
		return err
	}
	session := plane.Session{
		ID: plane.NewID("ses_"), UserID: owner.ID, Hash: plane.NewID("hash_"), From: "198.51.100.7", CreatedAt: f.ago(30 * time.Hour), UsedAt: f.ago(2 * time.Hour),
		Agent: f.said("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
	}
	if err := f.tx.CreateSession(ctx, session); err != nil {
		return err
	}
	return f.tx.CreateToken(ctx, plane.Token{ID: plane.NewID(plane.PrefixToken), UserID: owner.ID, Name: f.said("ci"), Hash: plane.NewID("hash_"), CreatedAt: f.ago(90 * time.Hour)})
}

// Newest are addresses of what has an id instead of a name.
type Newest struct{ Run, Ended, Deployment, User string }

// Newest finds the Run that is under way, one that ended, Shop's live deployment
// and the second person.
func (p *Panel) Newest(ctx context.Context) (n Newest, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		shop, err := tx.AppByName(ctx, Shop)
		if err != nil {
			return err
		}
		n.Deployment = "/apps/" + Shop + "/deployments/" + shop.LiveID
		for state, at := range map[plane.RunState]*string{plane.RunRunning: &n.Run, plane.RunFailed: &n.Ended} {
			runs, err := tx.Runs(ctx, store.RunFilter{State: state, Limit: 1})
			if err != nil || len(runs) == 0 {
				return fmt.Errorf("find a %s Run: %w", state, err)
			}
			*at = "/runs/" + runs[0].ID
		}
		people, err := tx.Users(ctx)
		if err != nil {
			return err
		}
		n.User = "/users/" + people[len(people)-1].ID
		return nil
	})
	return n, err
}
