-- What a deployment starts again, and what became of it on each server.

-- +goose Up

-- The deployment whose release is started again; empty: it builds its own.
ALTER TABLE deployments ADD COLUMN source_id TEXT NOT NULL DEFAULT '';

-- Each server's part in it (JSON).
ALTER TABLE deployments ADD COLUMN parts TEXT NOT NULL DEFAULT '[]';

-- What was built is found by its release: until now only an environment's
-- deployment started one again.
UPDATE deployments SET source_id = COALESCE((SELECT d.id FROM deployments d WHERE d.app_id = deployments.app_id
    AND d.release_id = deployments.release_id AND d.triggered_by <> 'environment' ORDER BY d.created_at LIMIT 1), '')
    WHERE triggered_by = 'environment';
