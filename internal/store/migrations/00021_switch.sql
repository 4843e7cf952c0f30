-- The port that both slots of a backend share while only one of them may run.

-- +goose Up

ALTER TABLE backends ADD COLUMN process_shared BIGINT NOT NULL DEFAULT 0;
