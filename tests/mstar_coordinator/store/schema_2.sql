-- The tables of schema version 2, the last before migrations, with a run half way: one step leased, one due.
-- Valid on SQLite and PostgreSQL. Written once by the release that had them; never change it.

CREATE TABLE idempotency (
    key VARCHAR(200) NOT NULL,
    body_sha256 VARCHAR(64) NOT NULL,
    run_id VARCHAR(40) NOT NULL,
    at FLOAT NOT NULL,
    PRIMARY KEY (key)
);

CREATE TABLE runs (
    id VARCHAR(40) NOT NULL,
    name VARCHAR(80) NOT NULL,
    state VARCHAR(16) NOT NULL,
    error TEXT,
    created_at FLOAT NOT NULL,
    updated_at FLOAT NOT NULL,
    iterations INTEGER NOT NULL,
    recipe TEXT NOT NULL,
    revision INTEGER NOT NULL,
    written INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_runs_state ON runs (state);

CREATE TABLE schema_version (
    version SERIAL NOT NULL,
    PRIMARY KEY (version)
);

CREATE TABLE events (
    run_id VARCHAR(40) NOT NULL,
    id INTEGER NOT NULL,
    at FLOAT NOT NULL,
    type VARCHAR(40) NOT NULL,
    step VARCHAR(120),
    message TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (run_id, id),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE TABLE steps (
    id VARCHAR(60) NOT NULL,
    run_id VARCHAR(40) NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR(120) NOT NULL,
    stage VARCHAR(120) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    queue VARCHAR(16) NOT NULL,
    spec TEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    waiting INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    worker VARCHAR(200),
    error TEXT,
    published_at FLOAT,
    claimed_at FLOAT,
    lease_until FLOAT,
    done_at FLOAT,
    units_done INTEGER NOT NULL,
    units_total INTEGER NOT NULL,
    artefact_id VARCHAR(500),
    artefact_sha256 VARCHAR(64),
    result TEXT,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE UNIQUE INDEX steps_by_name ON steps (run_id, name);
CREATE UNIQUE INDEX steps_by_position ON steps (run_id, position);
CREATE INDEX steps_by_stage ON steps (run_id, stage);
CREATE INDEX steps_due ON steps (state, waiting, queue, run_id, position);

CREATE TABLE step_needs (
    step_id VARCHAR(60) NOT NULL,
    need_id VARCHAR(60) NOT NULL,
    streams BOOLEAN NOT NULL,
    PRIMARY KEY (step_id, need_id),
    FOREIGN KEY(step_id) REFERENCES steps (id) ON DELETE CASCADE,
    FOREIGN KEY(need_id) REFERENCES steps (id)
);
CREATE INDEX needs_by_need ON step_needs (need_id);

INSERT INTO runs (id, name, state, error, created_at, updated_at, iterations, recipe, revision, written) VALUES ('r-01hf7yat00aaaa', 'small', 'running', NULL, 1700000000.0, 1700000010.0, 1, '{"name":"small","seed":0,"data":{"source":"builtin:minivista","train":8,"validation":4,"test_id":4,"test_ood":4},"model":{"base":"builtin:minivista"},"generation":{"max_tokens":512,"top_p":1.0,"shard_questions":4},"warmup":{"questions":4,"n":4,"temperature":1.0,"keep_per_question":1,"train":{"learning_rate":1e-6,"batch_size":128,"micro_tokens":8192,"epochs":1,"warmup_steps":0,"weight_decay":0.0,"max_grad_norm":1.0,"freeze_vision":false,"zero_stage":2,"ranks":1}},"prm":{"questions":4,"n":4,"completions":16,"temperature":1.0,"max_steps":12,"label":"soft","balance":true,"savings":true,"leave_out":{"wrong":true,"uncontested":true,"decided":true},"train":{"learning_rate":1e-6,"batch_size":128,"micro_tokens":8192,"epochs":1,"warmup_steps":0,"weight_decay":0.0,"max_grad_norm":1.0,"freeze_vision":true,"zero_stage":2,"ranks":1}},"evolution":{"iterations":1,"questions":8,"n":4,"temperature":1.0,"init":"last","optimizer":"carried","selection":{"mode":"top","k":2,"alpha":0.2},"train":{"learning_rate":1e-6,"batch_size":128,"micro_tokens":8192,"epochs":1,"warmup_steps":0,"weight_decay":0.0,"max_grad_norm":1.0,"freeze_vision":false,"zero_stage":2,"ranks":1}},"exploration":{"mode":"reward_pass","every":1,"start":2,"grid":[0.5,1.0],"questions":4,"n":2,"k":2},"evaluation":{"n":2,"k":2,"temperature":1.0}}', 3, 0);
INSERT INTO schema_version (version) VALUES (2);
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 1, 1700000000.0, 'run.created', NULL, '', NULL);
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 2, 1700000001.0, 'step.committed', 'prepare', '', '{"kind":"done","seconds":0.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 3, 1700000002.0, 'step.committed', 'eval/base/test_id/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 4, 1700000003.0, 'step.committed', 'eval/base/test_ood/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 5, 1700000004.0, 'step.committed', 'eval/base/validation/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 6, 1700000005.0, 'step.committed', 'warmup/generate/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 7, 1700000006.0, 'step.committed', 'warmup/select/0000', '', '{"kind":"select","questions":4,"responses":16,"correct":6,"scored":5,"kept":4,"temperature":1.0,"weight_version":"v@0","solved_questions":3,"soundness":{"judged":0,"kept":0,"random":0.0,"best":0},"prm_version":"p@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 8, 1700000007.0, 'step.committed', 'warmup/train', '', '{"kind":"train","examples":9,"steps":2,"global_step":2,"first_loss":1.0,"last_loss":0.5,"losses":[1.0,0.5],"learning_rate":0.0001,"tokens":90,"seconds":2.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 9, 1700000008.0, 'step.committed', 'eval/warmup/test_id/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 10, 1700000009.0, 'step.committed', 'eval/warmup/test_ood/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO events (run_id, id, at, type, step, message, result) VALUES ('r-01hf7yat00aaaa', 11, 1700000010.0, 'step.committed', 'eval/warmup/validation/0000', '', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000000', 'r-01hf7yat00aaaa', 0, 'prepare', 'prepare', 'prepare', 'control', '{"name":"prepare","params":{"kind":"prepare"},"needs":[],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000000.0, NULL, 1700000001.0, 0, 0, 'r-01hf7yat00aaaa/prepare', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"done","seconds":0.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000001', 'r-01hf7yat00aaaa', 1, 'eval/base/test_id/0000', 'eval/base/test_id', 'generate', 'rollout', '{"name":"eval/base/test_id/0000","params":{"kind":"generate","purpose":"eval","split":"test_id","start":0,"count":4,"draws":[{"n":1,"temperature":0.0}],"with_reference":false,"weights":"prepare","choose":null},"needs":["prepare"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000001.0, NULL, 1700000002.0, 0, 0, 'r-01hf7yat00aaaa/eval/base/test_id/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000002', 'r-01hf7yat00aaaa', 2, 'eval/base/test_ood/0000', 'eval/base/test_ood', 'generate', 'rollout', '{"name":"eval/base/test_ood/0000","params":{"kind":"generate","purpose":"eval","split":"test_ood","start":0,"count":4,"draws":[{"n":1,"temperature":0.0}],"with_reference":false,"weights":"prepare","choose":null},"needs":["prepare"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000002.0, NULL, 1700000003.0, 0, 0, 'r-01hf7yat00aaaa/eval/base/test_ood/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000003', 'r-01hf7yat00aaaa', 3, 'eval/base/validation/0000', 'eval/base/validation', 'generate', 'rollout', '{"name":"eval/base/validation/0000","params":{"kind":"generate","purpose":"eval","split":"validation","start":0,"count":4,"draws":[{"n":2,"temperature":1.0}],"with_reference":false,"weights":"prepare","choose":null},"needs":["prepare"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000003.0, NULL, 1700000004.0, 0, 0, 'r-01hf7yat00aaaa/eval/base/validation/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000004', 'r-01hf7yat00aaaa', 4, 'eval/base/score/0000', 'eval/base/score', 'score', 'score', '{"name":"eval/base/score/0000","params":{"kind":"score","rows":"eval/base/validation/0000","prm":"reward/train","use":"ranking","k":1,"savings":true},"needs":["reward/train","eval/base/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000005', 'r-01hf7yat00aaaa', 5, 'eval/base/evaluate', 'eval/base/evaluate', 'evaluate', 'control', '{"name":"eval/base/evaluate","params":{"kind":"evaluate","label":"base","greedy":["eval/base/test_id/0000","eval/base/test_ood/0000"],"sampled":["eval/base/validation/0000"],"scores":["eval/base/score/0000"],"k":2},"needs":["eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000","eval/base/score/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000006', 'r-01hf7yat00aaaa', 6, 'warmup/generate/0000', 'warmup/generate', 'generate', 'rollout', '{"name":"warmup/generate/0000","params":{"kind":"generate","purpose":"warmup","split":"train","start":0,"count":4,"draws":[{"n":4,"temperature":1.0}],"with_reference":true,"weights":"prepare","choose":null},"needs":["prepare"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000004.0, NULL, 1700000005.0, 0, 0, 'r-01hf7yat00aaaa/warmup/generate/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000007', 'r-01hf7yat00aaaa', 7, 'warmup/select/0000', 'warmup/select', 'select', 'control', '{"name":"warmup/select/0000","params":{"kind":"select","iteration":0,"rows":"warmup/generate/0000","prm":null,"savings":true,"rule":{"mode":"random","k":1,"alpha":0.2}},"needs":["warmup/generate/0000"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000005.0, NULL, 1700000006.0, 0, 0, 'r-01hf7yat00aaaa/warmup/select/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"select","questions":4,"responses":16,"correct":6,"scored":5,"kept":4,"temperature":1.0,"weight_version":"v@0","solved_questions":3,"soundness":{"judged":0,"kept":0,"random":0.0,"best":0},"prm_version":"p@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000008', 'r-01hf7yat00aaaa', 8, 'warmup/train', 'warmup/train', 'train', 'train', '{"name":"warmup/train","params":{"kind":"train","objective":"sft","iteration":0,"data":["warmup/select/0000"],"parent":"prepare","carry_optimizer":false,"settings":{"learning_rate":1e-6,"batch_size":128,"micro_tokens":8192,"epochs":1,"warmup_steps":0,"weight_decay":0.0,"max_grad_norm":1.0,"freeze_vision":false,"zero_stage":2,"ranks":1}},"needs":["prepare","warmup/select/0000"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000006.0, NULL, 1700000007.0, 0, 0, 'r-01hf7yat00aaaa/warmup/train', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"train","examples":9,"steps":2,"global_step":2,"first_loss":1.0,"last_loss":0.5,"losses":[1.0,0.5],"learning_rate":0.0001,"tokens":90,"seconds":2.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000009', 'r-01hf7yat00aaaa', 9, 'eval/warmup/test_id/0000', 'eval/warmup/test_id', 'generate', 'rollout', '{"name":"eval/warmup/test_id/0000","params":{"kind":"generate","purpose":"eval","split":"test_id","start":0,"count":4,"draws":[{"n":1,"temperature":0.0}],"with_reference":false,"weights":"warmup/train","choose":null},"needs":["warmup/train","eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000007.0, NULL, 1700000008.0, 0, 0, 'r-01hf7yat00aaaa/eval/warmup/test_id/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000010', 'r-01hf7yat00aaaa', 10, 'eval/warmup/test_ood/0000', 'eval/warmup/test_ood', 'generate', 'rollout', '{"name":"eval/warmup/test_ood/0000","params":{"kind":"generate","purpose":"eval","split":"test_ood","start":0,"count":4,"draws":[{"n":1,"temperature":0.0}],"with_reference":false,"weights":"warmup/train","choose":null},"needs":["warmup/train","eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000008.0, NULL, 1700000009.0, 0, 0, 'r-01hf7yat00aaaa/eval/warmup/test_ood/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000011', 'r-01hf7yat00aaaa', 11, 'eval/warmup/validation/0000', 'eval/warmup/validation', 'generate', 'rollout', '{"name":"eval/warmup/validation/0000","params":{"kind":"generate","purpose":"eval","split":"validation","start":0,"count":4,"draws":[{"n":2,"temperature":1.0}],"with_reference":false,"weights":"warmup/train","choose":null},"needs":["warmup/train","eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000"],"streams":[]}', 'done', 0, 1, 1, 'w', NULL, NULL, 1700000009.0, NULL, 1700000010.0, 0, 0, 'r-01hf7yat00aaaa/eval/warmup/validation/0000', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{"kind":"generate","questions":4,"responses":16,"correct":6,"tokens":200,"weight_version":"v@0","seconds":1.0}');
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000012', 'r-01hf7yat00aaaa', 12, 'eval/warmup/score/0000', 'eval/warmup/score', 'score', 'score', '{"name":"eval/warmup/score/0000","params":{"kind":"score","rows":"eval/warmup/validation/0000","prm":"reward/train","use":"ranking","k":1,"savings":true},"needs":["reward/train","eval/warmup/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000013', 'r-01hf7yat00aaaa', 13, 'eval/warmup/evaluate', 'eval/warmup/evaluate', 'evaluate', 'control', '{"name":"eval/warmup/evaluate","params":{"kind":"evaluate","label":"warmup","greedy":["eval/warmup/test_id/0000","eval/warmup/test_ood/0000"],"sampled":["eval/warmup/validation/0000"],"scores":["eval/warmup/score/0000"],"k":2},"needs":["eval/warmup/test_id/0000","eval/warmup/test_ood/0000","eval/warmup/validation/0000","eval/warmup/score/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000014', 'r-01hf7yat00aaaa', 14, 'reward/sample/0000', 'reward/sample', 'generate', 'rollout', '{"name":"reward/sample/0000","params":{"kind":"generate","purpose":"prm","split":"train","start":0,"count":4,"draws":[{"n":4,"temperature":1.0}],"with_reference":false,"weights":"warmup/train","choose":null},"needs":["warmup/train","eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000"],"streams":[]}', 'leased', 0, 1, 1, 'w', NULL, NULL, 1700000010.0, 1700000030.0, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000015', 'r-01hf7yat00aaaa', 15, 'reward/label/0000', 'reward/label', 'label', 'rollout', '{"name":"reward/label/0000","params":{"kind":"label","rows":"reward/sample/0000","weights":"warmup/train","completions":16,"temperature":1.0,"max_steps":12},"needs":["warmup/train","reward/sample/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000016', 'r-01hf7yat00aaaa', 16, 'reward/collect', 'reward/collect', 'collect', 'control', '{"name":"reward/collect","params":{"kind":"collect","rows":["reward/label/0000"],"label":"soft","balance":true},"needs":["reward/label/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000017', 'r-01hf7yat00aaaa', 17, 'reward/train', 'reward/train', 'train', 'train', '{"name":"reward/train","params":{"kind":"train","objective":"prm","iteration":0,"data":["reward/collect"],"parent":"prepare","carry_optimizer":false,"settings":{"learning_rate":1e-6,"batch_size":128,"micro_tokens":8192,"epochs":1,"warmup_steps":0,"weight_decay":0.0,"max_grad_norm":1.0,"freeze_vision":true,"zero_stage":2,"ranks":1}},"needs":["prepare","reward/collect"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000018', 'r-01hf7yat00aaaa', 18, 'it01/generate/0000', 'it01/generate', 'generate', 'rollout', '{"name":"it01/generate/0000","params":{"kind":"generate","purpose":"it01","split":"train","start":0,"count":4,"draws":[{"n":4,"temperature":1.0}],"with_reference":false,"weights":"warmup/train","choose":null},"needs":["warmup/train","reward/train","eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000019', 'r-01hf7yat00aaaa', 19, 'it01/select/0000', 'it01/select', 'select', 'score', '{"name":"it01/select/0000","params":{"kind":"select","iteration":1,"rows":"it01/generate/0000","prm":"reward/train","savings":true,"rule":{"mode":"top","k":2,"alpha":0.2}},"needs":["it01/generate/0000","reward/train"],"streams":[]}', 'pending', 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000020', 'r-01hf7yat00aaaa', 20, 'it01/generate/0001', 'it01/generate', 'generate', 'rollout', '{"name":"it01/generate/0001","params":{"kind":"generate","purpose":"it01","split":"train","start":4,"count":4,"draws":[{"n":4,"temperature":1.0}],"with_reference":false,"weights":"warmup/train","choose":null},"needs":["warmup/train","reward/train","eval/base/test_id/0000","eval/base/test_ood/0000","eval/base/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000021', 'r-01hf7yat00aaaa', 21, 'it01/select/0001', 'it01/select', 'select', 'score', '{"name":"it01/select/0001","params":{"kind":"select","iteration":1,"rows":"it01/generate/0001","prm":"reward/train","savings":true,"rule":{"mode":"top","k":2,"alpha":0.2}},"needs":["it01/generate/0001","reward/train"],"streams":[]}', 'pending', 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000022', 'r-01hf7yat00aaaa', 22, 'it01/train', 'it01/train', 'train', 'train', '{"name":"it01/train","params":{"kind":"train","objective":"sft","iteration":1,"data":["it01/select/0000","it01/select/0001"],"parent":"warmup/train","carry_optimizer":true,"settings":{"learning_rate":1e-6,"batch_size":128,"micro_tokens":8192,"epochs":1,"warmup_steps":0,"weight_decay":0.0,"max_grad_norm":1.0,"freeze_vision":false,"zero_stage":2,"ranks":1}},"needs":["warmup/train","it01/select/0000"],"streams":["it01/select/0001"]}', 'pending', 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000023', 'r-01hf7yat00aaaa', 23, 'eval/it01/test_id/0000', 'eval/it01/test_id', 'generate', 'rollout', '{"name":"eval/it01/test_id/0000","params":{"kind":"generate","purpose":"eval","split":"test_id","start":0,"count":4,"draws":[{"n":1,"temperature":0.0}],"with_reference":false,"weights":"it01/train","choose":null},"needs":["it01/train","eval/warmup/test_id/0000","eval/warmup/test_ood/0000","eval/warmup/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000024', 'r-01hf7yat00aaaa', 24, 'eval/it01/test_ood/0000', 'eval/it01/test_ood', 'generate', 'rollout', '{"name":"eval/it01/test_ood/0000","params":{"kind":"generate","purpose":"eval","split":"test_ood","start":0,"count":4,"draws":[{"n":1,"temperature":0.0}],"with_reference":false,"weights":"it01/train","choose":null},"needs":["it01/train","eval/warmup/test_id/0000","eval/warmup/test_ood/0000","eval/warmup/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000025', 'r-01hf7yat00aaaa', 25, 'eval/it01/validation/0000', 'eval/it01/validation', 'generate', 'rollout', '{"name":"eval/it01/validation/0000","params":{"kind":"generate","purpose":"eval","split":"validation","start":0,"count":4,"draws":[{"n":2,"temperature":1.0}],"with_reference":false,"weights":"it01/train","choose":null},"needs":["it01/train","eval/warmup/test_id/0000","eval/warmup/test_ood/0000","eval/warmup/validation/0000"],"streams":[]}', 'pending', 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000026', 'r-01hf7yat00aaaa', 26, 'eval/it01/score/0000', 'eval/it01/score', 'score', 'score', '{"name":"eval/it01/score/0000","params":{"kind":"score","rows":"eval/it01/validation/0000","prm":"reward/train","use":"ranking","k":1,"savings":true},"needs":["reward/train","eval/it01/validation/0000"],"streams":[]}', 'pending', 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000027', 'r-01hf7yat00aaaa', 27, 'eval/it01/evaluate', 'eval/it01/evaluate', 'evaluate', 'control', '{"name":"eval/it01/evaluate","params":{"kind":"evaluate","label":"it01","greedy":["eval/it01/test_id/0000","eval/it01/test_ood/0000"],"sampled":["eval/it01/validation/0000"],"scores":["eval/it01/score/0000"],"k":2},"needs":["eval/it01/test_id/0000","eval/it01/test_ood/0000","eval/it01/validation/0000","eval/it01/score/0000"],"streams":[]}', 'pending', 4, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO steps (id, run_id, position, name, stage, kind, queue, spec, state, waiting, epoch, attempts, worker, error, published_at, claimed_at, lease_until, done_at, units_done, units_total, artefact_id, artefact_sha256, result) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa', 28, 'publish/01', 'publish', 'publish', 'control', '{"name":"publish/01","params":{"kind":"publish","policy":"it01/train","prm":"reward/train","selections":["it01/select/0000","it01/select/0001"],"collected":"reward/collect","evaluations":["eval/base/evaluate","eval/warmup/evaluate","eval/it01/evaluate"]},"needs":["it01/train","reward/train","reward/collect","it01/select/0000","it01/select/0001","eval/base/evaluate","eval/warmup/evaluate","eval/it01/evaluate"],"streams":[]}', 'pending', 8, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000001', 'r-01hf7yat00aaaa-000000', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000002', 'r-01hf7yat00aaaa-000000', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000003', 'r-01hf7yat00aaaa-000000', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000004', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000004', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000005', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000005', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000005', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000005', 'r-01hf7yat00aaaa-000004', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000006', 'r-01hf7yat00aaaa-000000', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000007', 'r-01hf7yat00aaaa-000006', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000008', 'r-01hf7yat00aaaa-000000', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000008', 'r-01hf7yat00aaaa-000007', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000009', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000009', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000009', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000009', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000010', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000010', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000010', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000010', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000011', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000011', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000011', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000011', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000012', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000012', 'r-01hf7yat00aaaa-000011', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000013', 'r-01hf7yat00aaaa-000009', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000013', 'r-01hf7yat00aaaa-000010', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000013', 'r-01hf7yat00aaaa-000011', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000013', 'r-01hf7yat00aaaa-000012', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000014', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000014', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000014', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000014', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000015', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000015', 'r-01hf7yat00aaaa-000014', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000016', 'r-01hf7yat00aaaa-000015', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000017', 'r-01hf7yat00aaaa-000000', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000017', 'r-01hf7yat00aaaa-000016', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000018', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000018', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000018', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000018', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000018', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000019', 'r-01hf7yat00aaaa-000018', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000019', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000020', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000020', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000020', 'r-01hf7yat00aaaa-000001', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000020', 'r-01hf7yat00aaaa-000002', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000020', 'r-01hf7yat00aaaa-000003', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000021', 'r-01hf7yat00aaaa-000020', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000021', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000022', 'r-01hf7yat00aaaa-000008', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000022', 'r-01hf7yat00aaaa-000019', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000022', 'r-01hf7yat00aaaa-000021', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000023', 'r-01hf7yat00aaaa-000022', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000023', 'r-01hf7yat00aaaa-000009', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000023', 'r-01hf7yat00aaaa-000010', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000023', 'r-01hf7yat00aaaa-000011', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000024', 'r-01hf7yat00aaaa-000022', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000024', 'r-01hf7yat00aaaa-000009', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000024', 'r-01hf7yat00aaaa-000010', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000024', 'r-01hf7yat00aaaa-000011', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000025', 'r-01hf7yat00aaaa-000022', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000025', 'r-01hf7yat00aaaa-000009', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000025', 'r-01hf7yat00aaaa-000010', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000025', 'r-01hf7yat00aaaa-000011', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000026', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000026', 'r-01hf7yat00aaaa-000025', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000027', 'r-01hf7yat00aaaa-000023', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000027', 'r-01hf7yat00aaaa-000024', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000027', 'r-01hf7yat00aaaa-000025', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000027', 'r-01hf7yat00aaaa-000026', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000022', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000017', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000016', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000019', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000021', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000005', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000013', FALSE);
INSERT INTO step_needs (step_id, need_id, streams) VALUES ('r-01hf7yat00aaaa-000028', 'r-01hf7yat00aaaa-000027', FALSE);
