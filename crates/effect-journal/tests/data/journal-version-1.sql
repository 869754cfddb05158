-- A journal as the first release wrote it, dumped by the sqlite3 shell: schema version 1.
PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
CREATE TABLE attempt (
    key TEXT NOT NULL REFERENCES effect (key),
    fence INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'sent', 'settled', 'released', 'unknown')),
    class TEXT NOT NULL CHECK (class IN ('paid', 'free')),
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    bound_input_tokens INTEGER NOT NULL,
    bound_cached_input_tokens INTEGER NOT NULL,
    bound_output_tokens INTEGER NOT NULL,
    bound_reasoning_tokens INTEGER NOT NULL,
    bound_cost_micros INTEGER NOT NULL,
    claimed_unix_ms INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    lease_until_unix_ms INTEGER NOT NULL,
    sent_unix_ms INTEGER,
    ended_unix_ms INTEGER,
    reason TEXT,
    spent_input_tokens INTEGER,
    spent_cached_input_tokens INTEGER,
    spent_output_tokens INTEGER,
    spent_reasoning_tokens INTEGER,
    spent_cost_micros INTEGER CHECK ((spent_cost_micros IS NOT NULL) = (state = 'settled')),
    checksum BLOB,
    response BLOB,
    PRIMARY KEY (key, fence)
) STRICT;
INSERT INTO "attempt" VALUES('default/workflow/run/settled',1,'released','paid','worker-1','model','provider',100,40,20,5,1000,1767225600000,45000,1767225645000,NULL,1767225600010,'429',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "attempt" VALUES('default/workflow/run/settled',2,'settled','paid','worker-1','model','provider',100,40,20,5,1000,1767225600000,45000,1767225645000,1767225600020,1767225600030,NULL,100,40,20,5,7,X'25FBCFB522106852D92412A0476AE3ECAFD1EA46314FA6EE44AD9DCF30A9071F',X'616E73776572');
INSERT INTO "attempt" VALUES('default/workflow/run/unknown',1,'unknown','paid','worker-1','model','provider',100,40,20,5,1000,1767225600000,45000,1767225645000,1767225600020,1767225600030,'connection reset',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "attempt" VALUES('default/workflow/run/sent',1,'sent','paid','worker-1','model','provider',100,40,20,5,1000,1767225600000,45000,1767225645000,1767225600020,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "attempt" VALUES('default/workflow/run/reserved',1,'reserved','paid','worker-1','model','provider',100,40,20,5,1000,1767225600000,45000,1767225645000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE effect (
    key TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    fence INTEGER NOT NULL CHECK (fence > 0),
    committed_fence INTEGER CHECK (committed_fence BETWEEN 1 AND fence)
) STRICT, WITHOUT ROWID;
INSERT INTO "effect" VALUES('default/workflow/run/reserved',X'1F58B9145B24D108D7AC38887338B3EA3229833B9C1E418250343F907BFD1047',1,NULL);
INSERT INTO "effect" VALUES('default/workflow/run/sent',X'1F58B9145B24D108D7AC38887338B3EA3229833B9C1E418250343F907BFD1047',1,NULL);
INSERT INTO "effect" VALUES('default/workflow/run/settled',X'1F58B9145B24D108D7AC38887338B3EA3229833B9C1E418250343F907BFD1047',2,2);
INSERT INTO "effect" VALUES('default/workflow/run/unknown',X'1F58B9145B24D108D7AC38887338B3EA3229833B9C1E418250343F907BFD1047',1,NULL);
CREATE TABLE probe (room BLOB NOT NULL) STRICT;
CREATE INDEX attempt_with_response ON attempt (ended_unix_ms) WHERE response IS NOT NULL;
CREATE TRIGGER effect_commits_once BEFORE UPDATE OF committed_fence ON effect
WHEN OLD.committed_fence IS NOT NULL AND NEW.committed_fence IS NOT OLD.committed_fence
BEGIN
    SELECT RAISE(ABORT, 'a committed result never changes');
END;
COMMIT;
PRAGMA user_version = 1;
