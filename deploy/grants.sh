#!/bin/bash
# Prints the SQL that lets the worker's database user do what mih-worker and mih-replayer do, and nothing else:
#
#   deploy/grants.sh --database moodle --prefix mdl_ --user mih --host 10.0.0.7 \
#       --password-file /etc/mih/database.password | mariadb
#
# The user may read services, rules and, through a view, the hub's site identifier of config_plugins;
# work on the outbox, the bindings and the table of worker processes; update the state of circuit
# breakers; add to the log; add to and update the index of dead letters and the table of replays, but
# never delete from them, make a row another message's or change what was asked for; disable a rule
# whose address is gone. It sees no users, no courses, no other setting of Moodle, and may not change
# a service, or what a rule says. tests/integration/test_database.py holds every statement against this.
#
#   --database NAME       Moodle's database (moodle)
#   --prefix PREFIX       prefix of Moodle's tables (mdl_)
#   --user NAME           the worker's user (mih)
#   --host HOST           host the workers connect from, as the server sees it (localhost);
#                         a server with skip_name_resolve sees 127.0.0.1 for localhost over TCP
#   --password-file FILE  also creates the user, with the file's first line as its password;
#                         without it the user must exist
#   --require-tls         the user may log in over TLS only; for a server on another machine
#   --max-connections N   most connections of the user at a time; each worker process holds one
#
# Run it when the tables exist: after the plugin was installed, or schema.sql loaded. It may be run
# again: grants that exist stay. In a database without Moodle there is no config_plugins, and the
# view is left out.
set -euo pipefail

fail() {
    echo "grants.sh: $1" >&2
    exit 64
}

database=moodle prefix=mdl_ user=mih host=localhost password_file='' tls='' connections=''
while (($#)); do
    case $1 in
    --require-tls) tls=1 && shift && continue ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \?//p}' "$0" && exit 0 ;;
    esac
    (($# > 1)) || fail "$1: unknown, or its value is missing; --help explains"
    case $1 in
    --database) database=$2 ;;
    --prefix) prefix=$2 ;;
    --user) user=$2 ;;
    --host) host=$2 ;;
    --password-file) password_file=$2 ;;
    --max-connections) connections=$2 ;;
    *) fail "$1: unknown; --help explains" ;;
    esac
    shift 2
done

[[ $database =~ ^[A-Za-z0-9_\$-]{1,64}$ ]] || fail "--database: letters, digits and _ \$ -"
[[ $prefix =~ ^[A-Za-z0-9_]{0,32}$ ]] || fail "--prefix: letters, digits and _"
[[ $user =~ ^[A-Za-z0-9_.-]{1,32}$ ]] || fail "--user: letters, digits and _ . -"
[[ $host =~ ^[A-Za-z0-9_.:%/-]{1,60}$ ]] || fail "--host: a host name, an address, or % for any"
[[ $connections =~ ^[0-9]{0,5}$ ]] || fail "--max-connections: a number"

account="'$user'@'$host'"
hub="\`$database\`.${prefix}local_integrationhub"
view="\`$database\`.mih_${prefix}settings"

if [[ $password_file ]]; then
    [[ -r $password_file ]] || fail "$password_file: cannot be read"
    IFS= read -r password <"$password_file" || [[ $password ]] || fail "$password_file: no password"
    [[ $password != *[\'\\]* ]] || fail "$password_file: a password without ' and \\, please"
    echo "CREATE USER IF NOT EXISTS $account IDENTIFIED BY '$password';"
    echo "ALTER USER $account IDENTIFIED BY '$password';"
fi
[[ -z $tls ]] || echo "ALTER USER $account REQUIRE SSL;"
[[ -z $connections ]] || echo "ALTER USER $account WITH MAX_USER_CONNECTIONS $connections;"
cat <<EOF
GRANT SELECT ON ${hub}_svc TO $account;
GRANT SELECT, UPDATE (enabled, timemodified, timedisabled, disabledreason) ON ${hub}_rules TO $account;
GRANT SELECT, INSERT, UPDATE (state, failure_count, last_failure, timemodified, trips, retryat, holder)
  ON ${hub}_cb TO $account;
GRANT INSERT ON ${hub}_log TO $account;
GRANT SELECT, INSERT, UPDATE (state, replayid, timemodified, eventname, payload, error_message, timecreated,
  endpoint, http_method, attempts, http_status, response, timefirst) ON ${hub}_dlq TO $account;
GRANT SELECT, INSERT, UPDATE (state, matched, moved, failed, error, timestarted, timeended, timemodified)
  ON ${hub}_replay TO $account;
GRANT SELECT, DELETE ON ${hub}_outbox TO $account;
GRANT SELECT, INSERT, UPDATE, DELETE ON ${hub}_binding TO $account;
GRANT SELECT, INSERT, UPDATE, DELETE ON ${hub}_worker TO $account;

-- The view's name does not start with the prefix, so that Moodle takes it for no table of its own.
-- Only named settings are in it: others hold passwords.
SET @moodle = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '$database' AND table_name = '${prefix}config_plugins');
SET @view = IF(@moodle, 'CREATE OR REPLACE SQL SECURITY DEFINER VIEW $view AS
  SELECT name, value FROM \`$database\`.${prefix}config_plugins
  WHERE plugin = ''local_integrationhub'' AND name IN (''siteid'')', 'DO 0');
PREPARE statement FROM @view;
EXECUTE statement;
SET @grant = IF(@moodle, 'GRANT SELECT ON $view TO ${account//\'/\'\'}', 'DO 0');
PREPARE statement FROM @grant;
EXECUTE statement;
DEALLOCATE PREPARE statement;
EOF
