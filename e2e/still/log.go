package still

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// written is what the apps wrote, on servers that do not exist.
type written struct{ p *Panel }

func (w written) Last(_ context.Context, q plane.LogQuery) ([]plane.LogLine, error) {
	at := time.Now().UTC().Add(-time.Hour)
	texts := []string{"listening on 127.0.0.1:23000", "GET / 200 in 7 ms", "GET /prices 200 in 12 ms", "TypeError: Cannot read properties of undefined (reading 'price')"}
	var lines []plane.LogLine
	for n := range 24 {
		lines = append(lines, plane.LogLine{At: at.Add(time.Duration(n) * time.Minute), From: "a", Trouble: n%4 == 3, Text: texts[n%4] + w.p.mark})
	}
	return lines, nil
}

func (w written) Follow(ctx context.Context, q plane.LogQuery, line func(plane.LogLine)) error {
	lines, _ := w.Last(ctx, q) // it never fails
	for _, l := range lines {
		line(l)
	}
	<-ctx.Done()
	return ctx.Err()
}
