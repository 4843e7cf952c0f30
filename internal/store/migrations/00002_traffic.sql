-- What a person or the panel may do to traffic, what it left behind, and what
-- health looked like before now.

-- +goose Up

-- What a backend's live slot was started from, release and variables; since
-- when a person wishes it on or off; and whether automatic take-out keeps it
-- out of the upstream.
ALTER TABLE backends ADD COLUMN deployment_id TEXT NOT NULL DEFAULT '';
ALTER TABLE backends ADD COLUMN wished_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE backends ADD COLUMN taken_out BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE backends SET deployment_id = (SELECT a.live_id FROM apps a WHERE a.id = backends.app_id) WHERE placed;
UPDATE backends SET wished_at = created_at;

-- What a Run did and left on servers, line by line (JSON).
ALTER TABLE runs ADD COLUMN receipt TEXT NOT NULL DEFAULT 'null';

-- The last look at the whole Nginx tree of a server: why Nginx refuses it, or empty.
ALTER TABLE servers ADD COLUMN nginx_error TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN nginx_checked_at BIGINT NOT NULL DEFAULT 0;

-- A lock may be shared by several Runs or held by one alone.
DROP INDEX locks_run;
ALTER TABLE locks RENAME TO former_locks;
CREATE TABLE locks (
    name   TEXT    NOT NULL,
    run_id TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    shared BOOLEAN NOT NULL,
    PRIMARY KEY (name, run_id)
);
INSERT INTO locks (name, run_id, shared) SELECT name, run_id, FALSE FROM former_locks;
DROP TABLE former_locks;
CREATE INDEX locks_run ON locks (run_id);
CREATE UNIQUE INDEX locks_alone ON locks (name) WHERE NOT shared;
ALTER TABLE run_locks ADD COLUMN shared BOOLEAN NOT NULL DEFAULT FALSE;

-- Both histories are bounded: the store keeps the newest changes of a backend
-- and the minutes of the last day.
CREATE TABLE health_changes (
    backend_id TEXT   NOT NULL REFERENCES backends (id) ON DELETE CASCADE,
    at         BIGINT NOT NULL,
    was        TEXT   NOT NULL,
    became     TEXT   NOT NULL,
    vantage    TEXT   NOT NULL,
    answer     TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    PRIMARY KEY (backend_id, at)
);
CREATE TABLE health_minutes (
    backend_id TEXT   NOT NULL REFERENCES backends (id) ON DELETE CASCADE,
    minute     BIGINT NOT NULL, -- microseconds at its begin
    probes     BIGINT NOT NULL,
    failures   BIGINT NOT NULL,
    blind      BIGINT NOT NULL, -- probes the panel's own side could not make
    latency    BIGINT NOT NULL, -- nanoseconds, mean of those answered
    slowest    BIGINT NOT NULL, -- nanoseconds
    PRIMARY KEY (backend_id, minute)
);
