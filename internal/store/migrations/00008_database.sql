-- Databases of apps, on their primaries.

-- +goose Up

CREATE TABLE databases (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    app_id      TEXT    NOT NULL REFERENCES apps (id) ON DELETE RESTRICT,
    server_id   TEXT    NOT NULL REFERENCES servers (id) ON DELETE RESTRICT,
    engine      TEXT    NOT NULL CHECK (engine IN ('postgresql', 'mariadb')),
    prefix      TEXT    NOT NULL,
    password    BYTEA   NOT NULL,
    revision    BIGINT  NOT NULL,
    require_tls BOOLEAN NOT NULL,
    pool        BIGINT  NOT NULL CHECK (pool BETWEEN 1 AND 1000),
    state       TEXT    NOT NULL CHECK (state IN ('creating', 'ready', 'failed', 'removing')),
    reason      TEXT    NOT NULL,
    since       BIGINT  NOT NULL,
    stranger    TEXT    NOT NULL, -- JSON: the last attempt of somebody who may not connect
    created_at  BIGINT  NOT NULL,
    UNIQUE (app_id, prefix)
);
CREATE INDEX databases_server ON databases (server_id);

-- One engine on one server: the number of what it should be, and what was seen.
CREATE TABLE database_servers (
    server_id       TEXT    NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    engine          TEXT    NOT NULL CHECK (engine IN ('postgresql', 'mariadb')),
    generation      BIGINT  NOT NULL,
    port            BIGINT  NOT NULL,
    version         TEXT    NOT NULL,
    is_open         BOOLEAN NOT NULL,
    tls             BOOLEAN NOT NULL,
    max_connections BIGINT  NOT NULL,
    reserved        BIGINT  NOT NULL,
    wanted_max      BIGINT  NOT NULL,
    certificate     BYTEA   NOT NULL,
    key             BYTEA   NOT NULL,
    seen_at         BIGINT  NOT NULL,
    PRIMARY KEY (server_id, engine)
);

-- Who may connect from where. A backend cannot be forgotten while it may.
CREATE TABLE database_access (
    database_id TEXT NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
    backend_id  TEXT NOT NULL REFERENCES backends (id) ON DELETE RESTRICT,
    address     TEXT NOT NULL,
    proof       TEXT NOT NULL, -- JSON
    PRIMARY KEY (database_id, backend_id)
);
CREATE INDEX database_access_backend ON database_access (backend_id);

-- With which state of its databases a deployment was started (JSON).
ALTER TABLE deployments ADD COLUMN databases TEXT NOT NULL DEFAULT '[]';
