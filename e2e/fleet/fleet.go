package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Fleet is a set of servers on one bridge. Its methods may be called from several goroutines; what concerns one server
// (PowerCut, Boot, Snapshot…) is for one caller at a time.
type Fleet struct {
	// ID is the random part of all names this fleet uses on the machine.
	ID string

	config  Config
	machine machine
	cache   string
	folder  string
	key     string // private key that all servers accept for root
	lock    *os.File

	mu        sync.Mutex // guards what follows
	network   *network
	servers   map[string]*Server
	made      int // servers ever made: each has its own number
	snapshots int
}

// Spec says what a server is to be.
type Spec struct {
	// Name is its host name, unique in the fleet: lower-case letters, digits and inner dashes, at most 32.
	Name string
	// Suite is the Debian release, "bookworm" if empty. Not for clones: they are what their snapshot is.
	Suite string
	// Bare leaves out the fleet's packages.
	Bare bool
	// From makes the server a clone of a snapshot of the same fleet.
	From *Snapshot
	// KeepIdentity leaves a clone the host keys and machine id of its original, as careless cloning does; else new ones.
	KeepIdentity bool
	// Memory is the limit in MiB, 1024 if zero. Processes and threads are limited to 2048.
	Memory int
	// Disk limits what the server can ever write, in MiB, so that its disk can be filled; it lies in this machine's memory.
	// No limit if zero. Such a server has no snapshots.
	Disk int
	// Late gives the server a second address, Server.Late, which appears this long after each boot.
	Late time.Duration
	// Docker lets Docker work in the server, should somebody install it: with control groups of its own, and with a storage driver
	// that needs nothing of the disk below. Not for a server with a limited disk, which it would fill.
	Docker bool
}

var serverName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$|^[a-z]$`)

// New makes a fleet without servers: its folder, key, bridge and rules. It first clears away what dead fleets have left.
func New(config Config) (*Fleet, error) {
	ctx := context.Background()
	if os.Geteuid() != 0 {
		return nil, errors.New("a fleet needs root: namespaces, mounts and a bridge")
	}
	cache, err := config.cache()
	if err != nil {
		return nil, err
	}
	found, err := readMachine(ctx)
	if err != nil {
		return nil, err
	}
	f := &Fleet{ID: newID(), config: config, machine: found, cache: cache, servers: map[string]*Server{}}
	f.folder = filepath.Join(cache, "instances", f.ID)
	f.key = filepath.Join(f.folder, "key")
	all, err := holdAll(cache)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	if _, err := reap(ctx, config, cache); err != nil {
		return nil, err
	}
	if err := f.claim(ctx); err != nil {
		return nil, errors.Join(err, clear(ctx, f.folder))
	}
	return f, nil
}

// claim takes the fleet's place among the others; the caller holds the lock of all instances.
func (f *Fleet) claim(ctx context.Context) error {
	others, err := List(f.config)
	if err != nil {
		return err
	}
	var taken []netip.Prefix
	for _, other := range others {
		taken = append(taken, other.Prefix)
	}
	prefix, err := freePrefix(taken)
	if err != nil {
		return err
	}
	if err := os.Mkdir(f.folder, 0o700); err != nil {
		return fmt.Errorf("making the fleet's folder: %w", err)
	}
	if f.lock, err = lockFile(filepath.Join(f.folder, "lock"), syscall.LOCK_EX); err != nil {
		return err
	}
	f.network = newNetwork(f.ID, prefix)
	if err := f.note(); err != nil {
		return err
	}
	if _, err := tool(ctx, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet-"+f.ID, "-f", f.key); err != nil {
		return fmt.Errorf("making the fleet's key: %w", err)
	}
	if err := forwarding(f.cache); err != nil {
		return err
	}
	return f.network.up(ctx)
}

// note writes the instance file and the known hosts. The caller holds f.mu, or is New.
func (f *Fleet) note() error {
	i := Instance{ID: f.ID, Owner: os.Getpid(), Prefix: f.network.prefix, folder: f.folder}
	var known strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f.servers)) {
		s := f.servers[name]
		i.Servers = append(i.Servers, Entry{Name: s.Name, Addr: s.Addr, SSH: s.CommandLine(), Console: s.console()})
		known.WriteString(s.knownHosts)
	}
	if err := writeAtomic(f.knownHosts(), known.String()); err != nil {
		return fmt.Errorf("writing the known hosts: %w", err)
	}
	if err := i.write(); err != nil {
		return fmt.Errorf("noting the fleet's state: %w", err)
	}
	return nil
}

func writeAtomic(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (f *Fleet) knownHosts() string { return filepath.Join(f.folder, "known_hosts") }

// Gateway is this machine's address on the fleet's bridge: servers reach what the machine listens on there.
func (f *Fleet) Gateway() netip.Addr { return f.network.gateway() }

// Prefix is the fleet's /24.
func (f *Fleet) Prefix() netip.Prefix { return f.network.prefix }

// Start makes a server, boots it and waits until it answers SSH.
func (f *Fleet) Start(ctx context.Context, spec Spec) (*Server, error) {
	servers, err := f.StartAll(ctx, spec)
	return servers[0], err
}

// StartAll makes servers, their addresses in the order of the specs, boots them side by side and waits until all answer SSH.
// If one fails, the first error comes back and the others stay until Remove or Close; there is one result per spec, nil for
// a server that could not even be enlisted.
func (f *Fleet) StartAll(ctx context.Context, specs ...Spec) ([]*Server, error) {
	servers := make([]*Server, len(specs))
	group, inner := errgroup.WithContext(ctx)
	for i, spec := range specs {
		s, err := f.enlist(ctx, spec)
		if err != nil {
			group.Go(func() error { return fmt.Errorf("making server %q: %w", spec.Name, err) })
			break
		}
		servers[i] = s
		group.Go(func() error { return f.begin(inner, s, spec) })
	}
	return servers, group.Wait()
}

// begin makes an enlisted server's file system and boots it.
func (f *Fleet) begin(ctx context.Context, s *Server, spec Spec) error {
	if err := s.prepare(ctx, spec); err != nil {
		return fmt.Errorf("making server %q: %w", s.Name, err)
	}
	f.mu.Lock()
	err := f.note()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Boot(ctx)
}

// layers returns the read-only folders below the server's own, the topmost first.
func (f *Fleet) layers(ctx context.Context, spec Spec) ([]string, error) {
	if spec.From == nil {
		if spec.Suite == "" {
			spec.Suite = "bookworm"
		}
		return f.fresh(ctx, spec)
	}
	if spec.From.fleet != f {
		return nil, errors.New("the snapshot is of another fleet")
	}
	return spec.From.layers, nil
}

// fresh returns the layers of a server that nobody has touched.
func (f *Fleet) fresh(ctx context.Context, spec Spec) ([]string, error) {
	base, err := f.base(ctx, spec.Suite)
	if err != nil || len(f.config.Packages) == 0 || spec.Bare {
		return []string{base}, err
	}
	equipment, err := f.equipment(ctx, spec.Suite, base)
	return []string{equipment, base}, err
}

// enlist checks the spec and gives the server its number, and with it its address.
func (f *Fleet) enlist(ctx context.Context, spec Spec) (*Server, error) {
	if !serverName.MatchString(spec.Name) {
		return nil, errors.New("a server's name is lower-case letters, digits and inner dashes, at most 32")
	}
	if spec.Memory == 0 {
		spec.Memory = 1024
	}
	layers, err := f.layers(ctx, spec)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.servers[spec.Name] != nil {
		return nil, errors.New("the name is taken")
	}
	// .1 is this machine, .255 the broadcast address; what lies above last are the second addresses.
	const first, last = 10, 129
	number := first + f.made
	if number > last {
		return nil, fmt.Errorf("a fleet makes at most %d servers in its life", last-first+1)
	}
	f.made++
	s := &Server{
		Name:    spec.Name,
		Addr:    f.network.host(byte(number)),
		KeyFile: f.key,
		fleet:   f,
		machine: fmt.Sprintf("%s-%d", f.ID, number),
		folder:  filepath.Join(f.folder, "servers", spec.Name),
		layers:  layers,
		memory:  int64(spec.Memory) << 20,
		disk:    int64(spec.Disk) << 20,
		docker:  spec.Docker,
	}
	if spec.Late > 0 {
		s.Late = f.network.host(byte(number - first + last + 1))
	}
	f.servers[spec.Name] = s
	return s, nil
}

// Remove ends a server without warning and removes it. Its address is not given out again.
func (f *Fleet) Remove(ctx context.Context, s *Server) error {
	if err := s.PowerCut(ctx); err != nil {
		return err
	}
	if err := unmountAll(s.folder); err != nil {
		return err
	}
	removeGroups(s.machine)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.RemoveAll(s.folder); err != nil {
		return fmt.Errorf("removing server %q: %w", s.Name, err)
	}
	delete(f.servers, s.Name)
	if f.network.forget(s) {
		if err := f.network.apply(ctx); err != nil {
			return err
		}
	}
	return f.note()
}

// Close ends all servers without warning and removes everything the fleet made, except the cache. A second call does
// nothing.
func (f *Fleet) Close() error {
	ctx := context.Background()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return nil
	}
	all, err := holdAll(f.cache)
	if err != nil {
		return err
	}
	defer all.Close()
	// A server that will not go in order goes with clear.
	for _, s := range f.servers {
		err = errors.Join(err, s.PowerCut(ctx))
	}
	if cleared := clear(ctx, f.folder); cleared != nil {
		return fmt.Errorf("closing the fleet: %w", errors.Join(err, cleared))
	}
	err = errors.Join(err, f.lock.Close())
	f.lock = nil
	left, listErr := List(f.config)
	if listErr == nil && len(left) == 0 {
		err = errors.Join(err, restoreForwarding(f.cache))
	}
	return errors.Join(err, listErr)
}
