-- What runs beside an app's slots, and how it was last seen.

-- +goose Up

-- A cron entry is a process with a schedule. owner_id is the server that a
-- person wishes it on; holder_id the one it may be running on.
CREATE TABLE processes (
    id         TEXT    NOT NULL PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('process', 'cron')),
    command    TEXT    NOT NULL,
    placement  TEXT    NOT NULL CHECK (placement IN ('one', 'all')),
    instances  BIGINT  NOT NULL CHECK (instances BETWEEN 0 AND 20),
    stop       BIGINT  NOT NULL, -- nanoseconds
    schedule   TEXT    NOT NULL,
    owner_id   TEXT    NOT NULL,
    holder_id  TEXT    NOT NULL,
    removing   BOOLEAN NOT NULL,
    created_at BIGINT  NOT NULL,
    changed_at BIGINT  NOT NULL,
    UNIQUE (app_id, name),
    CHECK ((placement = 'one') = (owner_id <> '')),
    CHECK ((kind = 'cron') = (schedule <> '')),
    CHECK ((kind = 'process') = (instances > 0))
);

CREATE TABLE process_states (
    process_id TEXT    NOT NULL REFERENCES processes (id) ON DELETE CASCADE,
    server_id  TEXT    NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'waiting', 'failed', 'stopped', 'unknown')),
    since      BIGINT  NOT NULL,
    checked_at BIGINT  NOT NULL,
    reason     TEXT    NOT NULL,
    answer     TEXT    NOT NULL,
    release_id TEXT    NOT NULL,
    lines      TEXT    NOT NULL,
    stray      BOOLEAN NOT NULL, -- moved away unseen: stopped first thing when the server returns
    PRIMARY KEY (process_id, server_id)
);
CREATE INDEX process_states_server ON process_states (server_id);

-- Counts the wishes about an app's processes: a server refuses one that is older
-- than what it has seen.
ALTER TABLE apps ADD COLUMN process_generation BIGINT NOT NULL DEFAULT 0;
