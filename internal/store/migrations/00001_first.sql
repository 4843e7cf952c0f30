-- One text for SQLite and PostgreSQL. Times are microseconds since 1970 UTC,
-- 0 for "not yet"; BYTEA holds bytes on both (SQLite keeps a blob a blob in
-- such a column). There is no way down: an older panel restores its backup.

-- +goose Up
CREATE TABLE servers (
    id              TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL UNIQUE,
    address         TEXT    NOT NULL,
    private_address TEXT    NOT NULL,
    ssh_port        BIGINT  NOT NULL,
    host_key        TEXT    NOT NULL,
    firewall        TEXT    NOT NULL CHECK (firewall IN ('', 'manage', 'keep-open', 'leave')),
    adopt           BOOLEAN NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('pending', 'provisioning', 'ready', 'unreachable', 'failed')),
    reason          TEXT    NOT NULL,
    since           BIGINT  NOT NULL,
    survey          TEXT    NOT NULL,
    tree_wanted     BIGINT  NOT NULL DEFAULT 0,
    tree_applied    BIGINT  NOT NULL DEFAULT 0,
    tree_error      TEXT    NOT NULL DEFAULT '',
    created_at      BIGINT  NOT NULL,
    CHECK (tree_applied <= tree_wanted)
);
CREATE INDEX servers_pending_tree ON servers (id) WHERE tree_wanted > tree_applied;

CREATE TABLE apps (
    id              TEXT   NOT NULL PRIMARY KEY,
    name            TEXT   NOT NULL UNIQUE,
    kind            TEXT   NOT NULL,
    server_id       TEXT   NOT NULL REFERENCES servers (id) ON DELETE RESTRICT,
    repository      TEXT   NOT NULL,
    branch          TEXT   NOT NULL,
    spec            TEXT   NOT NULL,
    deploy_key      TEXT   NOT NULL,
    deploy_key_pem  BYTEA  NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('new', 'deploying', 'live', 'failed', 'removing')),
    reason          TEXT   NOT NULL,
    since           BIGINT NOT NULL,
    live_slot       TEXT   NOT NULL DEFAULT '' CHECK (live_slot IN ('', 'a', 'b')),
    live_id         TEXT   NOT NULL DEFAULT '',
    balancer_status TEXT   NOT NULL CHECK (balancer_status IN ('off', 'applying', 'on', 'failed')),
    balancer_reason TEXT   NOT NULL,
    balancer_method TEXT   NOT NULL CHECK (balancer_method IN ('round-robin', 'least-connections', 'ip-hash')),
    balancer_health TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    CHECK ((live_slot = '') = (live_id = ''))
);
CREATE INDEX apps_server ON apps (server_id);

CREATE TABLE app_domains (
    app_id    TEXT   NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    position  BIGINT NOT NULL,
    server_id TEXT   NOT NULL REFERENCES servers (id) ON DELETE RESTRICT,
    name      TEXT   NOT NULL,
    PRIMARY KEY (app_id, position),
    UNIQUE (server_id, name)
);

CREATE TABLE variables (
    app_id     TEXT   NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    sealed     BYTEA  NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (app_id, name)
);

CREATE TABLE deployments (
    id           TEXT   NOT NULL PRIMARY KEY,
    app_id       TEXT   NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    run_id       TEXT   NOT NULL,
    triggered_by TEXT   NOT NULL,
    ref          TEXT   NOT NULL,
    commit_hash  TEXT   NOT NULL,
    author       TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    release_id   TEXT   NOT NULL,
    slot         TEXT   NOT NULL CHECK (slot IN ('', 'a', 'b')),
    spec         TEXT   NOT NULL,
    variables    BYTEA  NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('queued', 'preparing', 'switching', 'verifying',
                                                  'completed', 'failed', 'cancelled', 'reverted')),
    reason       TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    live_at      BIGINT NOT NULL,
    finished_at  BIGINT NOT NULL
);
CREATE INDEX deployments_app ON deployments (app_id, created_at, id);
CREATE INDEX deployments_unfinished ON deployments (app_id)
    WHERE state IN ('queued', 'preparing', 'switching', 'verifying');

CREATE TABLE backends (
    id                TEXT    NOT NULL PRIMARY KEY,
    app_id            TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    server_id         TEXT    NOT NULL REFERENCES servers (id) ON DELETE RESTRICT,
    is_primary        BOOLEAN NOT NULL,
    enabled           BOOLEAN NOT NULL,
    placed            BOOLEAN NOT NULL,
    removing          BOOLEAN NOT NULL,
    weight            BIGINT  NOT NULL CHECK (weight BETWEEN 1 AND 100),
    backup            BOOLEAN NOT NULL,
    process_a         BIGINT  NOT NULL,
    process_b         BIGINT  NOT NULL,
    site_a            BIGINT  NOT NULL,
    site_b            BIGINT  NOT NULL,
    seen_as           TEXT    NOT NULL,
    release_id        TEXT    NOT NULL,
    health_state      TEXT    NOT NULL CHECK (health_state IN ('', 'deploying', 'healthy', 'unhealthy', 'unknown')),
    health_since      BIGINT  NOT NULL,
    health_checked_at BIGINT  NOT NULL,
    health_vantage    TEXT    NOT NULL,
    health_answer     TEXT    NOT NULL,
    health_reason     TEXT    NOT NULL,
    health_latency    BIGINT  NOT NULL, -- nanoseconds
    health_passes     BIGINT  NOT NULL,
    health_failures   BIGINT  NOT NULL,
    created_at        BIGINT  NOT NULL,
    UNIQUE (app_id, server_id)
);
CREATE UNIQUE INDEX backends_one_primary ON backends (app_id) WHERE is_primary;
CREATE INDEX backends_server ON backends (server_id);

-- A backend's ports are taken before its row is written, hence the deferral.
CREATE TABLE ports (
    server_id  TEXT   NOT NULL REFERENCES servers (id) ON DELETE RESTRICT,
    port       BIGINT NOT NULL CHECK (port BETWEEN 20001 AND 29999),
    backend_id TEXT   NOT NULL REFERENCES backends (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (server_id, port)
);
CREATE INDEX ports_backend ON ports (backend_id);

-- A Run outlives what it was about, so it refers to nothing.
CREATE TABLE runs (
    id            TEXT    NOT NULL PRIMARY KEY,
    kind          TEXT    NOT NULL,
    app_id        TEXT    NOT NULL,
    server_id     TEXT    NOT NULL,
    backend_id    TEXT    NOT NULL,
    deployment_id TEXT    NOT NULL,
    servers       TEXT    NOT NULL,
    args          TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
    step          TEXT    NOT NULL DEFAULT '',
    done          BIGINT  NOT NULL DEFAULT 0,
    total         BIGINT  NOT NULL DEFAULT 0,
    reason        TEXT    NOT NULL DEFAULT '',
    cancel        BOOLEAN NOT NULL DEFAULT FALSE,
    actor         TEXT    NOT NULL,
    owner         TEXT    NOT NULL DEFAULT '',
    attempt       BIGINT  NOT NULL DEFAULT 0,
    lease_until   BIGINT  NOT NULL DEFAULT 0,
    events        BIGINT  NOT NULL DEFAULT 0, -- the last Seq given out
    created_at    BIGINT  NOT NULL,
    started_at    BIGINT  NOT NULL DEFAULT 0,
    finished_at   BIGINT  NOT NULL DEFAULT 0,
    CHECK (state <> 'queued' OR (owner = '' AND attempt = 0 AND started_at = 0)),
    CHECK ((state = 'running') = (lease_until > 0)),
    CHECK (state <> 'running' OR (owner <> '' AND attempt > 0 AND started_at > 0)),
    CHECK ((state IN ('queued', 'running')) = (finished_at = 0)),
    CHECK (state NOT IN ('succeeded', 'failed', 'interrupted') OR started_at > 0)
);
CREATE INDEX runs_created ON runs (created_at, id);
CREATE INDEX runs_queued ON runs (created_at, id) WHERE state = 'queued';
CREATE INDEX runs_running ON runs (lease_until) WHERE state = 'running';
CREATE INDEX runs_app ON runs (app_id, created_at, id);

-- What a Run must hold, and below what is held now.
CREATE TABLE run_locks (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name   TEXT NOT NULL,
    PRIMARY KEY (run_id, name)
);

CREATE TABLE locks (
    name   TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX locks_run ON locks (run_id);

CREATE TABLE run_events (
    run_id TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq    BIGINT NOT NULL CHECK (seq > 0),
    at     BIGINT NOT NULL,
    kind   TEXT   NOT NULL,
    server TEXT   NOT NULL,
    step   TEXT   NOT NULL,
    text   TEXT   NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL,
    role          TEXT   NOT NULL CHECK (role IN ('owner', 'admin', 'viewer')),
    password_hash TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    hash       TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE INDEX tokens_user ON tokens (user_id);

-- The audit trail outlives the people in it.
CREATE TABLE audits (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    user_id TEXT   NOT NULL,
    email   TEXT   NOT NULL,
    remote  TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    detail  TEXT   NOT NULL
);
CREATE INDEX audits_at ON audits (at, id);

CREATE TABLE settings (
    name  TEXT  NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE leases (
    name  TEXT   NOT NULL PRIMARY KEY,
    owner TEXT   NOT NULL,
    until BIGINT NOT NULL
);
