package runner

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// buildOnce builds an image on the primary, where it is not there yet, and gives the others that one. While it is on its way
// nothing is started on them.
func (j *job) buildOnce(ctx context.Context, p recipe.Preparation) (map[string]error, error) {
	here := func(s recipe.Seat) bool { return s.Backend.Primary }
	others := slices.DeleteFunc(slices.Clone(p.Seats), here)
	p.Seats = slices.DeleteFunc(slices.Clone(p.Seats), func(s recipe.Seat) bool { return !here(s) })
	if failed, err := j.prepare(ctx, p); err != nil || len(failed) > 0 {
		return failed, err
	}
	p.Seats = others
	failed, err := j.handOn(ctx, p)
	if err != nil {
		return nil, err
	}
	p.Seats = slices.DeleteFunc(slices.Clone(others), func(s recipe.Seat) bool { return failed[s.Server.Name] != nil })
	p.Image = recipe.ImageShipped
	more, err := j.prepare(ctx, p)
	maps.Copy(failed, more)
	return failed, err
}

// handOn brings the primary's image to the seats that lack it, one after the other; errors by the server's name.
func (j *job) handOn(ctx context.Context, p recipe.Preparation) (map[string]error, error) {
	var primary plane.Server
	err := j.Store.Read(ctx, func(tx *store.Tx) (err error) {
		primary, err = tx.Server(ctx, p.App.ServerID)
		return err
	})
	if err != nil {
		return nil, err
	}
	name := recipe.Image(p.App, p.Plan)
	p.Image = recipe.ImageAwaited
	p.Seats = slices.DeleteFunc(slices.Clone(p.Seats), func(s recipe.Seat) bool { return j.sameImage(ctx, name, primary, s.Server) })
	failed := map[string]error{}
	away, err := j.prepare(ctx, p) // there may be no Docker yet
	maps.Copy(failed, away)
	for _, s := range p.Seats {
		if err != nil || failed[s.Server.Name] != nil {
			continue
		}
		lost := j.moveImage(ctx, name, primary, s.Server)
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if lost != nil {
			failed[s.Server.Name] = fmt.Errorf("%s: the image did not get here from %s: %w", s.Server.Name, primary.Name, lost)
		}
	}
	return failed, err
}

// sameImage tells whether both servers are known to have the same image of that name.
func (j *job) sameImage(ctx context.Context, name string, one, other plane.Server) bool {
	made, _, err := j.imageOn(ctx, one, name)
	if err != nil || made == "" {
		return false
	}
	had, _, err := j.imageOn(ctx, other, name)
	return err == nil && had == made
}

func (j *job) moveImage(ctx context.Context, name string, from, to plane.Server) error {
	made, size, err := j.imageOn(ctx, from, name)
	if err != nil {
		return err
	}
	if made == "" {
		return plane.Conflict(fmt.Sprintf("%s has no image %s any more", from.Name, name), "deploy with --rebuild makes one")
	}
	had, _, err := j.imageOn(ctx, to, name)
	if err != nil || had == made {
		return err
	}
	begun := j.Now()
	sent, err := j.stream(ctx, name, size, from, to)
	if err != nil {
		return err
	}
	got, _, err := j.imageOn(ctx, to, name)
	if err != nil {
		return err
	}
	if got != made {
		return fmt.Errorf("what arrived is %s, and not %s", got, made)
	}
	j.say(to.Name, "has the image that %s built, %s: %s in %.1f s", from.Name, made, megabytes(sent), j.Now().Sub(begun).Seconds())
	return nil
}

// imageOn tells the id and size of an image on a server; the id is empty where there is none.
func (j *job) imageOn(ctx context.Context, on plane.Server, name string) (string, int64, error) {
	res, err := j.Pool.Exec(ctx, recipe.Target(on), remote.Command{Args: dockerArgs("image", "inspect", "--format", "{{.Id}} {{.Size}}", name), Sudo: true})
	if err != nil {
		return "", 0, err
	}
	id, size, _ := strings.Cut(strings.TrimSpace(string(res.Stdout)), " ")
	if res.Exit != 0 && !strings.Contains(string(res.Stderr), "No such image") {
		return "", 0, fmt.Errorf("ask Docker on %s: %s", on.Name, firstLine(string(res.Stderr)))
	}
	bytes, _ := strconv.ParseInt(size, 10, 64)
	return id, bytes, nil
}

func dockerArgs(args ...string) []string {
	return append([]string{"docker", "--host", "unix:///run/docker.sock"}, args...)
}

// sayEvery is how often a person is told how far an image came.
const sayEvery = 5 * time.Second

// stream sends an image through the panel, which holds no more of it than is on its way. Each side has a connection of its own:
// probes and traffic must not wait behind an image.
func (j *job) stream(parent context.Context, name string, size int64, from, to plane.Server) (int64, error) {
	source, target := recipe.Target(from), recipe.Target(to)
	source.ID, target.ID = source.ID+" image "+j.run.ID, target.ID+" image "+j.run.ID
	defer j.Pool.Forget(source.ID)
	defer j.Pool.Forget(target.ID)
	out, in := io.Pipe()
	flow := &meter{to: in}
	sides, ctx := errgroup.WithContext(parent)
	sides.Go(func() error {
		err := j.dockerOn(ctx, from, source, remote.Command{Args: []string{"sh", "-c", packImage, "sh", name}, Out: flow})
		_ = in.CloseWithError(err) // without an error: that was all
		return err
	})
	sides.Go(func() error {
		err := j.dockerOn(ctx, to, target, remote.Command{Args: dockerArgs("load", "--quiet"), Stdin: out})
		_ = out.CloseWithError(io.ErrClosedPipe)
		return err
	})
	told := make(chan struct{})
	go func() {
		defer close(told)
		j.sayFlow(ctx, flow, size, to)
	}()
	err := sides.Wait() // ends ctx
	<-told
	return flow.passed.Load(), err
}

// packImage ends as Docker does, and not as what packs.
const packImage = `exec 3>&1
status=$({ { docker --host unix:///run/docker.sock save "$1" 3>&- 4>&-; echo "$?" >&4; } | gzip -1 >&3 3>&- 4>&-; } 4>&1)
exit "$status"`

func (j *job) dockerOn(ctx context.Context, s plane.Server, at remote.Target, cmd remote.Command) error {
	cmd.Sudo = true
	res, err := j.Pool.Exec(ctx, at, cmd)
	if err == nil && res.Exit != 0 {
		return fmt.Errorf("docker on %s ended with exit status %d: %s", s.Name, res.Exit, firstLine(string(res.Stderr)))
	}
	return err
}

func (j *job) sayFlow(ctx context.Context, flow *meter, size int64, to plane.Server) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			j.say(to.Name, "the image is on its way: %s so far, packed; unpacked it is %s", megabytes(flow.passed.Load()), megabytes(size))
		}
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// meter counts what passes.
type meter struct {
	to     io.Writer
	passed atomic.Int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	m.passed.Add(int64(n))
	return n, err
}
