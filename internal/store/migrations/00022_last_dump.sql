-- Which dump the removal of a database left, once it has begun.

-- +goose Up
ALTER TABLE databases ADD COLUMN last_dump TEXT NOT NULL DEFAULT '';
