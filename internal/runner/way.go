package runner

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
)

// slowWay is from when on the way between two servers is told as a cost.
const slowWay = 5 * time.Millisecond

// wayConnects is how many connections are timed.
const wayConnects = 20

// timeConnects runs where the connections come from, so that nothing of our own
// way is in what it prints: seconds, one a line. A refusal took the same way there and back.
const timeConnects = `
import socket, sys, time
for _ in range(int(sys.argv[3])):
    begun = time.perf_counter()
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()
    except ConnectionRefusedError:
        pass
    print(time.perf_counter() - begun, flush=True)
    time.sleep(0.02)
`

// entryPort is a port that every primary answers at.
const entryPort = 80

// weighWay times connections from a backend to the primary and warns where each
// question to the database will be felt. What cannot be measured keeps nobody out.
func (j *job) weighWay(ctx context.Context, from, primary plane.Server) {
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := j.Pool.Exec(bounded, recipe.Target(from), remote.Command{Args: []string{
		"python3", "-c", timeConnects, primary.PrivateAddress.String(), strconv.Itoa(entryPort), strconv.Itoa(wayConnects),
	}})
	if err == nil && res.Exit != 0 {
		err = fmt.Errorf("%s", strings.TrimSpace(string(res.Stderr)))
	}
	var middle time.Duration
	if err == nil {
		middle, err = median(string(res.Stdout))
	}
	if err != nil {
		j.say(from.Name, "warning: the way to %s could not be timed: %s", primary.Name, lastOf(err.Error(), 1))
		return
	}
	j.say(from.Name, "connects to %s (%s) in %s, the median of %d", primary.Name, primary.PrivateAddress, middle.Round(10*time.Microsecond), wayConnects)
	if middle > slowWay {
		j.say(from.Name, "warning: each question from %s to the database on %s waits %s for its answer, since the two are far apart: a page with 50 questions takes %s longer; a server in the region or data centre of %s is nearer",
			from.Name, primary.Name, middle.Round(100*time.Microsecond), (50 * middle).Round(10*time.Millisecond), primary.Name)
	}
}

func median(lines string) (time.Duration, error) {
	var all []time.Duration
	for word := range strings.FieldsSeq(lines) {
		seconds, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return 0, fmt.Errorf("read how long connecting took: %w", err)
		}
		all = append(all, time.Duration(seconds*float64(time.Second)))
	}
	if len(all) == 0 {
		return 0, fmt.Errorf("nothing was measured")
	}
	return plane.Median(all), nil
}
