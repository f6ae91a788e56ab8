-- The tables of Moodle Integration Hub for a database without Moodle. In a Moodle the plugin creates them: do not load this file there.
-- For a fresh database only: it is no upgrade, and it fails on tables that exist already.
--
--   mariadb --default-character-set=utf8mb4 moodle < schema.sql
--
-- Made from moodle-plugin/db/install.xml by tests/harness/xmldb.py, and a test proves that the two agree: change install.xml, then run
--   python3 tests/harness/xmldb.py moodle-plugin/db/install.xml > schema.sql
-- Another table prefix than mdl_: add it as the second argument.

CREATE TABLE mdl_local_integrationhub_svc (
  id BIGINT(10) NOT NULL auto_increment,
  name VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  type VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'rest',
  base_url VARCHAR(1333) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  auth_type VARCHAR(20) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'bearer',
  auth_token LONGTEXT COLLATE utf8mb4_unicode_ci,
  timeout MEDIUMINT(5) NOT NULL DEFAULT 5,
  max_retries SMALLINT(3) NOT NULL DEFAULT 3,
  retry_backoff MEDIUMINT(5) NOT NULL DEFAULT 1,
  cb_failure_threshold SMALLINT(3) NOT NULL DEFAULT 5,
  cb_cooldown MEDIUMINT(5) NOT NULL DEFAULT 30,
  response_queue VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  enabled TINYINT(1) NOT NULL DEFAULT 1,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  timemodified BIGINT(10) NOT NULL DEFAULT 0,
  max_concurrency MEDIUMINT(5) NOT NULL DEFAULT 16,
  rate_limit MEDIUMINT(5) NOT NULL DEFAULT 0,
  long_retries TINYINT(1) NOT NULL DEFAULT 1,
  paused TINYINT(1) NOT NULL DEFAULT 0,
  auth_user VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  auth_header VARCHAR(100) COLLATE utf8mb4_unicode_ci,
  auth_url VARCHAR(1333) COLLATE utf8mb4_unicode_ci,
  auth_scope VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  client_cert LONGTEXT COLLATE utf8mb4_unicode_ci,
  headers LONGTEXT COLLATE utf8mb4_unicode_ci,
  body_type VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'json',
  content_type VARCHAR(100) COLLATE utf8mb4_unicode_ci,
  signing_secret LONGTEXT COLLATE utf8mb4_unicode_ci,
  signing_secret_old LONGTEXT COLLATE utf8mb4_unicode_ci,
  soap_version VARCHAR(5) COLLATE utf8mb4_unicode_ci,
  soap_headers LONGTEXT COLLATE utf8mb4_unicode_ci,
  ip_whitelist LONGTEXT COLLATE utf8mb4_unicode_ci,
  hmac_secret LONGTEXT COLLATE utf8mb4_unicode_ci,
  hmac_algo VARCHAR(20) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'sha256',
  hmac_header VARCHAR(100) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'X-Hub-Signature-256',
  rate_limit_requests BIGINT(10) NOT NULL DEFAULT 0,
  rate_limit_window BIGINT(10) NOT NULL DEFAULT 60,
  inbound_max_bytes BIGINT(10) NOT NULL DEFAULT 0,
  inbound_window MEDIUMINT(5) NOT NULL DEFAULT 0,
  inbound_open TINYINT(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintesvc_nam_uix (name)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='External services';

CREATE TABLE mdl_local_integrationhub_cb (
  id BIGINT(10) NOT NULL auto_increment,
  serviceid BIGINT(10) NOT NULL,
  state VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'closed',
  failure_count MEDIUMINT(5) NOT NULL DEFAULT 0,
  last_failure BIGINT(10),
  timemodified BIGINT(10) NOT NULL DEFAULT 0,
  trips MEDIUMINT(5) NOT NULL DEFAULT 0,
  retryat BIGINT(10),
  holder VARCHAR(100) COLLATE utf8mb4_unicode_ci,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintecb_ser_uix (serviceid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='State of the circuit breakers';

CREATE TABLE mdl_local_integrationhub_log (
  id BIGINT(10) NOT NULL auto_increment,
  serviceid BIGINT(10) NOT NULL,
  endpoint VARCHAR(1333) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  http_method VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'POST',
  http_status MEDIUMINT(5),
  latency_ms BIGINT(10),
  attempt_count SMALLINT(3) NOT NULL DEFAULT 1,
  success TINYINT(1) NOT NULL DEFAULT 1,
  error_message LONGTEXT COLLATE utf8mb4_unicode_ci,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  direction VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'outbound',
  ruleid BIGINT(10),
  messageid VARCHAR(127) COLLATE utf8mb4_unicode_ci,
  eventname VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  outcome VARCHAR(10) COLLATE utf8mb4_unicode_ci,
  PRIMARY KEY (id),
  KEY mdl_locaintelog_tim_ix (timecreated),
  KEY mdl_locaintelog_sertim_ix (serviceid, timecreated),
  KEY mdl_locaintelog_mes_ix (messageid),
  KEY mdl_locaintelog_ser_ix (serviceid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Recent requests';

CREATE TABLE mdl_local_integrationhub_rules (
  id BIGINT(10) NOT NULL auto_increment,
  eventname VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  serviceid BIGINT(10) NOT NULL,
  endpoint VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  http_method VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'POST',
  payload_template LONGTEXT COLLATE utf8mb4_unicode_ci,
  enabled TINYINT(1) NOT NULL DEFAULT 1,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  timemodified BIGINT(10) NOT NULL DEFAULT 0,
  timedisabled BIGINT(10),
  disabledreason LONGTEXT COLLATE utf8mb4_unicode_ci,
  filter LONGTEXT COLLATE utf8mb4_unicode_ci,
  PRIMARY KEY (id),
  KEY mdl_locainterule_eve_ix (eventname),
  KEY mdl_locainterule_ena_ix (enabled),
  KEY mdl_locainterule_ser_ix (serviceid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Which event goes to which service, and how';

CREATE TABLE mdl_local_integrationhub_dlq (
  id BIGINT(10) NOT NULL auto_increment,
  eventname VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  serviceid BIGINT(10) NOT NULL,
  payload LONGTEXT COLLATE utf8mb4_unicode_ci,
  error_message LONGTEXT COLLATE utf8mb4_unicode_ci,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  messageid VARCHAR(127) COLLATE utf8mb4_unicode_ci,
  ruleid BIGINT(10),
  endpoint VARCHAR(1333) COLLATE utf8mb4_unicode_ci,
  http_method VARCHAR(10) COLLATE utf8mb4_unicode_ci,
  attempts MEDIUMINT(5) NOT NULL DEFAULT 0,
  http_status MEDIUMINT(5),
  response LONGTEXT COLLATE utf8mb4_unicode_ci,
  state VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'dead',
  timefirst BIGINT(10),
  timemodified BIGINT(10) NOT NULL DEFAULT 0,
  replayid BIGINT(10),
  PRIMARY KEY (id),
  KEY mdl_locaintedlq_eve_ix (eventname),
  KEY mdl_locaintedlq_tim_ix (timecreated),
  KEY mdl_locaintedlq_sersta_ix (serviceid, state),
  KEY mdl_locaintedlq_mes_ix (messageid),
  KEY mdl_locaintedlq_rep_ix (replayid),
  KEY mdl_locaintedlq_ser_ix (serviceid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Dead letters';

CREATE TABLE mdl_local_integrationhub_outbox (
  id BIGINT(10) NOT NULL auto_increment,
  messageid VARCHAR(36) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  eventname VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  payload LONGTEXT COLLATE utf8mb4_unicode_ci NOT NULL,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locainteoutb_mes_uix (messageid),
  KEY mdl_locainteoutb_tim_ix (timecreated)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Wanted events that the broker has not confirmed yet';

CREATE TABLE mdl_local_integrationhub_binding (
  id BIGINT(10) NOT NULL auto_increment,
  serviceid BIGINT(10) NOT NULL,
  routingkey VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  timebound BIGINT(10),
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintebind_serrou_uix (serviceid, routingkey)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Bindings of the service queues; written by the worker fleet';

CREATE TABLE mdl_local_integrationhub_worker (
  id BIGINT(10) NOT NULL auto_increment,
  instance VARCHAR(100) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  host VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  pid BIGINT(10) NOT NULL DEFAULT 0,
  version VARCHAR(40) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  timestarted BIGINT(10) NOT NULL DEFAULT 0,
  timeseen BIGINT(10) NOT NULL DEFAULT 0,
  timeprogress BIGINT(10) NOT NULL DEFAULT 0,
  inflight BIGINT(10) NOT NULL DEFAULT 0,
  received BIGINT(10) NOT NULL DEFAULT 0,
  delivered BIGINT(10) NOT NULL DEFAULT 0,
  skipped BIGINT(10) NOT NULL DEFAULT 0,
  dead BIGINT(10) NOT NULL DEFAULT 0,
  memory BIGINT(10) NOT NULL DEFAULT 0,
  retried BIGINT(10) NOT NULL DEFAULT 0,
  elected TINYINT(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintework_ins_uix (instance)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Worker processes; written by the worker fleet';

CREATE TABLE mdl_local_integrationhub_replay (
  id BIGINT(10) NOT NULL auto_increment,
  action VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'replay',
  mode VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'sent',
  serviceid BIGINT(10),
  ruleid BIGINT(10),
  messageid VARCHAR(127) COLLATE utf8mb4_unicode_ci,
  eventname VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  reason VARCHAR(255) COLLATE utf8mb4_unicode_ci,
  timefrom BIGINT(10),
  timeto BIGINT(10),
  rate BIGINT(10) NOT NULL DEFAULT 0,
  maxcount BIGINT(10),
  canary TINYINT(1) NOT NULL DEFAULT 0,
  stopafter BIGINT(10) NOT NULL DEFAULT 0,
  dryrun TINYINT(1) NOT NULL DEFAULT 0,
  userid BIGINT(10),
  state VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'requested',
  matched BIGINT(10) NOT NULL DEFAULT 0,
  moved BIGINT(10) NOT NULL DEFAULT 0,
  failed BIGINT(10) NOT NULL DEFAULT 0,
  error LONGTEXT COLLATE utf8mb4_unicode_ci,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  timestarted BIGINT(10),
  timeended BIGINT(10),
  timemodified BIGINT(10) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  KEY mdl_locainterepl_sta_ix (state),
  KEY mdl_locainterepl_tim_ix (timecreated)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Replays and discards of dead letters; requested by the plugin, carried out by mih-replayer';

CREATE TABLE mdl_local_integrationhub_stat (
  id BIGINT(10) NOT NULL auto_increment,
  serviceid BIGINT(10) NOT NULL,
  ruleid BIGINT(10) NOT NULL DEFAULT 0,
  width MEDIUMINT(5) NOT NULL,
  timestart BIGINT(10) NOT NULL,
  delivered BIGINT(10) NOT NULL DEFAULT 0,
  retried BIGINT(10) NOT NULL DEFAULT 0,
  dead BIGINT(10) NOT NULL DEFAULT 0,
  skipped BIGINT(10) NOT NULL DEFAULT 0,
  held BIGINT(10) NOT NULL DEFAULT 0,
  latencysum BIGINT(18) NOT NULL DEFAULT 0,
  latencymax BIGINT(18) NOT NULL DEFAULT 0,
  backlog BIGINT(10) NOT NULL DEFAULT 0,
  h0 BIGINT(10) NOT NULL DEFAULT 0,
  h1 BIGINT(10) NOT NULL DEFAULT 0,
  h2 BIGINT(10) NOT NULL DEFAULT 0,
  h3 BIGINT(10) NOT NULL DEFAULT 0,
  h4 BIGINT(10) NOT NULL DEFAULT 0,
  h5 BIGINT(10) NOT NULL DEFAULT 0,
  h6 BIGINT(10) NOT NULL DEFAULT 0,
  h7 BIGINT(10) NOT NULL DEFAULT 0,
  h8 BIGINT(10) NOT NULL DEFAULT 0,
  h9 BIGINT(10) NOT NULL DEFAULT 0,
  h10 BIGINT(10) NOT NULL DEFAULT 0,
  h11 BIGINT(10) NOT NULL DEFAULT 0,
  h12 BIGINT(10) NOT NULL DEFAULT 0,
  h13 BIGINT(10) NOT NULL DEFAULT 0,
  h14 BIGINT(10) NOT NULL DEFAULT 0,
  h15 BIGINT(10) NOT NULL DEFAULT 0,
  h16 BIGINT(10) NOT NULL DEFAULT 0,
  h17 BIGINT(10) NOT NULL DEFAULT 0,
  h18 BIGINT(10) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintestat_widtimserrul_uix (width, timestart, serviceid, ruleid),
  KEY mdl_locaintestat_serwidtim_ix (serviceid, width, timestart)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='What became of deliveries, per service, rule and time; written by the worker fleet';

CREATE TABLE mdl_local_integrationhub_batch (
  id BIGINT(10) NOT NULL auto_increment,
  writer VARCHAR(40) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  number BIGINT(18) NOT NULL DEFAULT 0,
  timemodified BIGINT(10) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintebatc_wri_uix (writer),
  KEY mdl_locaintebatc_tim_ix (timemodified)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='The last batch of statistics of each writer, so that none is added twice; written by the worker fleet';

CREATE TABLE mdl_local_integrationhub_backlog (
  id BIGINT(10) NOT NULL auto_increment,
  serviceid BIGINT(10) NOT NULL,
  waiting BIGINT(10) NOT NULL DEFAULT 0,
  dead BIGINT(10) NOT NULL DEFAULT 0,
  timeoldest BIGINT(10),
  timeseen BIGINT(10) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locainteback_ser_uix (serviceid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='What waits at the broker for each service; written by the worker fleet';

CREATE TABLE mdl_local_integrationhub_nonce (
  id BIGINT(10) NOT NULL auto_increment,
  serviceid BIGINT(10) NOT NULL,
  nonce VARCHAR(64) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT '',
  timestamp BIGINT(10) NOT NULL,
  timecreated BIGINT(10) NOT NULL DEFAULT 0,
  holder VARCHAR(32) COLLATE utf8mb4_unicode_ci,
  PRIMARY KEY (id),
  UNIQUE KEY mdl_locaintenonc_sernon_uix (serviceid, nonce)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=Dynamic
  COMMENT='Inbound calls of late, for rate limits and so that a signed one counts once';
