-- Passwords that are changed without a gap, and dumps by a schedule.

-- +goose Up

-- A database has two logins: second tells which is in use. The other one's sealed
-- password: next is made and waits for a deployment, former is still valid.
ALTER TABLE databases ADD COLUMN second BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE databases ADD COLUMN next_password BYTEA NOT NULL DEFAULT '';
ALTER TABLE databases ADD COLUMN former_password BYTEA NOT NULL DEFAULT '';
ALTER TABLE databases ADD COLUMN password_at BIGINT NOT NULL DEFAULT 0;

-- schedule is empty where dumps are made only when somebody asks; due_since is up to
-- when what was due by it was queued; trouble why the last dump came to nothing.
ALTER TABLE databases ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
ALTER TABLE databases ADD COLUMN keep BIGINT NOT NULL DEFAULT 7;
ALTER TABLE databases ADD COLUMN due_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE databases ADD COLUMN trouble TEXT NOT NULL DEFAULT '';
ALTER TABLE databases ADD COLUMN trouble_at BIGINT NOT NULL DEFAULT 0;
