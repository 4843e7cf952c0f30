-- Who served what: what the panel read out of the entries' logs, and whether
-- answers name the backend that gave them.

-- +goose Up

-- Bounded: minutes of the last two hours, quarters of an hour of the last day.
CREATE TABLE served (
    app_id     TEXT   NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    seconds    BIGINT NOT NULL CHECK (seconds IN (60, 900)), -- how long the piece is
    begun      BIGINT NOT NULL, -- microseconds
    backend_id TEXT   NOT NULL, -- empty: the entry itself; goes with the backend
    requests   BIGINT NOT NULL,
    errors     BIGINT NOT NULL,
    passed_on  BIGINT NOT NULL,
    latency    TEXT   NOT NULL, -- answers by how long they took (JSON)
    PRIMARY KEY (app_id, seconds, begun, backend_id)
);
CREATE INDEX served_backend ON served (backend_id);

-- How far each log was read; changed in one transaction with what it held.
CREATE TABLE entry_logs (
    app_id  TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    since   BIGINT NOT NULL,
    read_at BIGINT NOT NULL,
    reason  TEXT   NOT NULL,
    gap_at  BIGINT NOT NULL,
    gap     TEXT   NOT NULL,
    places  TEXT   NOT NULL -- JSON
);

ALTER TABLE apps ADD COLUMN balancer_names BOOLEAN NOT NULL DEFAULT FALSE;
