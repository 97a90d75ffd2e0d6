-- Which cluster has which GPU of this machine. No reference to the attempt: a claim stays until its cluster is gone, whatever became
-- of the attempt's row.

CREATE TABLE gpu_claims (
    uuid TEXT PRIMARY KEY,          -- GPU-… or MIG-…, as NVML says it
    cluster TEXT NOT NULL,
    claimed_at BIGINT NOT NULL
);
CREATE INDEX gpu_claims_cluster ON gpu_claims (cluster);
