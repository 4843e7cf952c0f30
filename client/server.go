package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Server is a managed Linux machine.
type Server struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	Address        string    `json:"address"`
	PrivateAddress string    `json:"private_address" doc:"what other servers use"`
	Port           int       `json:"port" doc:"of SSH"`
	HostKey        string    `json:"host_key" doc:"pinned, authorized_keys form"`
	Firewall       string    `json:"firewall" doc:"manage, keep-open or leave"`
	State          string    `json:"state" doc:"pending, provisioning, ready, unreachable or failed"`
	Reason         string    `json:"reason,omitempty"`
	Since          time.Time `json:"since"`
	Apps           []string  `json:"apps" nullable:"false" doc:"names of the apps it carries"`
	Survey         Survey    `json:"survey"`
	CreatedAt      time.Time `json:"created_at"`
	// NginxError is why Nginx refuses the server's tree as it stands, found before it is in the way of a change.
	NginxError     string    `json:"nginx_error,omitempty"`
	NginxCheckedAt time.Time `json:"nginx_checked_at,omitzero"`
}

// Survey is what was found on a server.
type Survey struct {
	TakenAt        time.Time `json:"taken_at"`
	OS             string    `json:"os"`
	Arch           string    `json:"arch"`
	Cores          int       `json:"cores"`
	MemoryMiB      int       `json:"memory_mib"`
	SwapMiB        int       `json:"swap_mib"`
	DiskFreeMiB    int       `json:"disk_free_mib"`
	ClockOffset    Duration  `json:"clock_offset" doc:"server minus panel"`
	Addresses      []string  `json:"addresses" nullable:"false" doc:"on its interfaces, loopback left out"`
	DefaultAddress string    `json:"default_address"`
	SSHPort        int       `json:"ssh_port" doc:"as the server itself sees it"`
	Listening      []Socket  `json:"listening" nullable:"false"`
	Firewall       string    `json:"firewall" doc:"none, ufw, ufw-inactive, firewalld or nftables"`
	NginxSites     []string  `json:"nginx_sites" nullable:"false"`
	NginxBroken    string    `json:"nginx_broken,omitempty" doc:"what nginx -t says when it fails"`
	Databases      []string  `json:"databases" nullable:"false"`
	AptLock        string    `json:"apt_lock,omitempty" doc:"who holds it"`
	Panel          string    `json:"panel,omitempty" doc:"id of the panel that manages it already"`
	Node           string    `json:"node,omitempty" doc:"version of Node.js"`
}

// Socket is one listening socket.
type Socket struct {
	Proto   string `json:"proto"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	Process string `json:"process,omitempty"`
}

// ServerWish is what is said of a server to add. Key, Password and SudoPassword
// are used once, inside the request, and never stored.
type ServerWish struct {
	Name           string `json:"name"`
	Address        string `json:"address" doc:"IP address"`
	PrivateAddress string `json:"private_address,omitempty" doc:"chosen from the survey if left out"`
	Port           int    `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"SSH port, 22 if left out"`
	User           string `json:"user,omitempty" doc:"root if left out"`
	Key            string `json:"key,omitempty" doc:"PEM of a private key; the panel's own key is tried if left out"`
	Password       string `json:"password,omitempty"`
	SudoPassword   string `json:"sudo_password,omitempty"`
	HostKey        string `json:"host_key,omitempty" doc:"fingerprint the server must show, SHA256:…"`
	Firewall       string `json:"firewall,omitempty" doc:"manage, keep-open or leave"`
	Adopt          bool   `json:"adopt,omitempty" doc:"take over a server another panel manages"`
}

// ServerAdded is a new server and the Run that provisions it.
type ServerAdded struct {
	Server Server `json:"server"`
	Run    Run    `json:"run"`
}

// AddServer signs in to a server, surveys it, installs the panel's key and
// starts provisioning.
func (c *Client) AddServer(ctx context.Context, w ServerWish) (ServerAdded, error) {
	return fetch[ServerAdded](ctx, c, "POST", "/servers", nil, w)
}

// Servers lists all servers.
func (c *Client) Servers(ctx context.Context) (List[Server], error) {
	return fetch[List[Server]](ctx, c, "GET", "/servers", nil, nil)
}

// Server returns one server.
func (c *Client) Server(ctx context.Context, name string) (Server, error) {
	return fetch[Server](ctx, c, "GET", join("servers", name), nil, nil)
}

// SurveyServer looks at a server anew; it changes nothing there.
func (c *Client) SurveyServer(ctx context.Context, name string) (Survey, error) {
	return fetch[Survey](ctx, c, "POST", join("servers", name, "survey"), nil, nil)
}

// ProvisionServer starts provisioning again.
func (c *Client) ProvisionServer(ctx context.Context, name string) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("servers", name, "provision"), nil, nil)
}

// RemoveServer forgets a server that carries no app.
func (c *Client) RemoveServer(ctx context.Context, name string, forget bool) error {
	return c.call(ctx, "DELETE", join("servers", name), url.Values{"forget": {strconv.FormatBool(forget)}}, nil, nil)
}
