package client

import (
	"context"
	"time"
)

// User is a person who may sign in.
type User struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Role      string    `json:"role" doc:"owner, admin or viewer"`
	CreatedAt time.Time `json:"created_at"`
}

// UserWish is what is said of a person to make.
type UserWish struct {
	Email    string `json:"email"`
	Role     string `json:"role" doc:"owner, admin or viewer"`
	Password string `json:"password" doc:"the first one, 12 to 1024 characters"`
}

// UserChange names what to change about a person.
type UserChange struct {
	Role string `json:"role" doc:"owner, admin or viewer"`
}

// Token is what a program acts with as a person; its secret is told once.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name" doc:"what uses it"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at,omitzero" doc:"to the minute"`
}

// TokenWish is what is said of a token to make.
type TokenWish struct {
	Name string `json:"name" doc:"what will use it"`
}

// TokenCreated is a new token's secret, told this once.
type TokenCreated struct {
	Token string `json:"token"`
}

// Users lists who may sign in.
func (c *Client) Users(ctx context.Context) (List[User], error) {
	return fetch[List[User]](ctx, c, "GET", "/users", nil, nil)
}

// CreateUser makes a person who may sign in.
func (c *Client) CreateUser(ctx context.Context, w UserWish) (User, error) {
	return fetch[User](ctx, c, "POST", "/users", nil, w)
}

// ChangeUser gives a person, by id, another role.
func (c *Client) ChangeUser(ctx context.Context, id string, w UserChange) error {
	return c.call(ctx, "PATCH", join("users", id), nil, w, nil)
}

// RemoveUser forgets a person, by id; their sessions and tokens end at once.
func (c *Client) RemoveUser(ctx context.Context, id string) error {
	return c.call(ctx, "DELETE", join("users", id), nil, nil, nil)
}

// Tokens lists the tokens of whoever asks.
func (c *Client) Tokens(ctx context.Context) (List[Token], error) {
	return fetch[List[Token]](ctx, c, "GET", "/tokens", nil, nil)
}

// CreateToken makes one more for whoever asks; its secret is returned once.
func (c *Client) CreateToken(ctx context.Context, w TokenWish) (TokenCreated, error) {
	return fetch[TokenCreated](ctx, c, "POST", "/tokens", nil, w)
}

// RevokeToken ends one, by id.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, "DELETE", join("tokens", id), nil, nil, nil)
}
