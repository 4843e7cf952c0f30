package client

import "context"

// PanelKey is the panel's public key.
type PanelKey struct {
	Key string `json:"key" doc:"authorized_keys line: put it on a server to let the panel in"`
}

// HostKeyWish names the server whose host key is asked for.
type HostKeyWish struct {
	Address string `json:"address" doc:"IP address"`
	Port    int    `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"SSH port, 22 if left out"`
}

// HostKey is what a server offers to prove who it is.
type HostKey struct {
	Fingerprint string `json:"fingerprint"`
	Type        string `json:"type"`
}

// PanelKey returns the panel's public key.
func (c *Client) PanelKey(ctx context.Context) (PanelKey, error) {
	return fetch[PanelKey](ctx, c, "GET", "/panel-key", nil, nil)
}

// HostKey asks a server for its host key, through the panel.
func (c *Client) HostKey(ctx context.Context, w HostKeyWish) (HostKey, error) {
	return fetch[HostKey](ctx, c, "POST", "/host-key", nil, w)
}
