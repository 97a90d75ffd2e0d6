-- One text for SQLite and PostgreSQL: TEXT, BIGINT (milliseconds since 1970, counts, 0 or 1) and BYTEA only.
-- This folder is append-only: a migration that has been released is never changed.

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    login TEXT UNIQUE,              -- lower case; NULL for a guest
    display_name TEXT NOT NULL,
    role TEXT NOT NULL,             -- learner, instructor, interviewer, admin
    password_hash TEXT,             -- argon2id, PHC string; NULL for a guest
    disabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE login_links (
    token_hash TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE attempts (
    id TEXT PRIMARY KEY,            -- also the id of its cluster
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lab TEXT NOT NULL,
    lab_digest TEXT NOT NULL,
    number BIGINT NOT NULL,         -- 1, 2, … for one user and lab
    engine TEXT NOT NULL,
    state TEXT NOT NULL,            -- preparing, running, sleeping, failed, finished
    params TEXT NOT NULL,           -- JSON object of strings
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    expires_at BIGINT,
    finished_at BIGINT,
    active_at BIGINT NOT NULL,
    score BIGINT,
    failure TEXT,
    cluster_gone BIGINT NOT NULL,
    UNIQUE (user_id, lab, number)
);
CREATE INDEX attempts_state ON attempts (state);

CREATE TABLE cluster_tokens (
    token_hash TEXT PRIMARY KEY,
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL,          -- shell, download
    user_name TEXT NOT NULL,        -- as Kubernetes sees it
    user_groups TEXT NOT NULL,      -- JSON array of strings
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX cluster_tokens_attempt ON cluster_tokens (attempt_id);

CREATE TABLE task_states (
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    outcome TEXT NOT NULL,          -- of the last check that could look: passed, failed
    points BIGINT NOT NULL,         -- after the cost of hints
    passed_at BIGINT,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (attempt_id, task)
);

CREATE TABLE evidence (
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,           -- sha256 of the JSON
    taken_at BIGINT NOT NULL,
    body BYTEA NOT NULL,            -- JSON, zlib
    PRIMARY KEY (attempt_id, digest)
);

CREATE TABLE verdicts (
    id TEXT PRIMARY KEY,
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    outcome TEXT NOT NULL,          -- passed, failed, inconclusive
    points BIGINT NOT NULL,
    findings TEXT NOT NULL,         -- JSON array
    evidence TEXT NOT NULL,
    final BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX verdicts_attempt ON verdicts (attempt_id, at);

CREATE TABLE snapshots (
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,             -- start, or the step that was passed
    taken_at BIGINT NOT NULL,
    PRIMARY KEY (attempt_id, name)
);

CREATE TABLE hints_taken (
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    hint BIGINT NOT NULL,           -- from 0
    cost BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (attempt_id, task, hint)
);

CREATE TABLE scans (
    id TEXT PRIMARY KEY,
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    at BIGINT NOT NULL,
    scanned_by TEXT NOT NULL,
    findings TEXT NOT NULL,         -- JSON object: vulnerability id to severity
    simulated BIGINT NOT NULL
);
CREATE INDEX scans_attempt ON scans (attempt_id, at);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,            -- sorts by time
    at BIGINT NOT NULL,
    cluster TEXT NOT NULL,
    token_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    verb TEXT NOT NULL,
    api_group TEXT NOT NULL,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    code BIGINT NOT NULL,
    milliseconds BIGINT NOT NULL
);
CREATE INDEX audit_cluster ON audit (cluster, at);

CREATE TABLE receipts (
    attempt_id TEXT PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    body TEXT NOT NULL,             -- the receipt as the learner gets it
    at BIGINT NOT NULL
);

CREATE TABLE events (
    attempt_id TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,            -- 1, 2, … within the attempt
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON
    PRIMARY KEY (attempt_id, seq)
);
