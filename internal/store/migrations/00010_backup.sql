-- Dumps of databases that are kept on their servers.

-- +goose Up

CREATE TABLE database_backups (
    id          TEXT   NOT NULL PRIMARY KEY,
    database_id TEXT   NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
    file        TEXT   NOT NULL, -- name on the server
    path        TEXT   NOT NULL,
    bytes       BIGINT NOT NULL,
    table_rows  TEXT   NOT NULL, -- JSON object: rows of each table
    actor       TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX database_backups_database ON database_backups (database_id, created_at, id);
