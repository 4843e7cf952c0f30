package tail

import (
	"context"
	"fmt"
	"sync"

	"github.com/serverplane/serverplane/internal/plane"
)

// How many read at once. A server takes ten commands over one connection, and
// traffic is steered and health asked over the same one: most must stay free.
const (
	followsOfServer = 4
	followsOfAll    = 40
	looksOfServer   = 1 // the next one waits
)

// places counts who reads which server's logs.
type places struct {
	mu      sync.Mutex
	follows map[string]int // by the server's id
	all     int
	looks   map[string]chan struct{}
}

func newPlaces() *places {
	return &places{follows: map[string]int{}, looks: map[string]chan struct{}{}}
}

func (p *places) follow(s plane.Server) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.follows[s.ID] >= followsOfServer:
		return nil, plane.Unavailable(fmt.Sprintf("%d readers follow logs on %s already", followsOfServer, s.Name),
			"close one of them, or look at the last lines without following")
	case p.all >= followsOfAll:
		return nil, plane.Unavailable(fmt.Sprintf("%d readers follow logs already", followsOfAll),
			"close one of them, or look at the last lines without following")
	}
	p.follows[s.ID]++
	p.all++
	return func() { p.left(s.ID) }, nil
}

func (p *places) left(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.follows[id]--; p.follows[id] <= 0 {
		delete(p.follows, id)
	}
}

func (p *places) look(ctx context.Context, s plane.Server) (leave func(), err error) {
	p.mu.Lock()
	place := p.looks[s.ID]
	if place == nil {
		place = make(chan struct{}, looksOfServer)
		p.looks[s.ID] = place
	}
	p.mu.Unlock()
	select {
	case place <- struct{}{}:
		return func() { <-place }, nil
	case <-ctx.Done():
		return nil, plane.Unavailable("others are reading logs on "+s.Name, "look again in a moment")
	}
}
