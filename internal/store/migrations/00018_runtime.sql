-- Which version of its kind's runtime a backend's live slot was started with.

-- +goose Up

ALTER TABLE backends ADD COLUMN runtime TEXT NOT NULL DEFAULT '';
