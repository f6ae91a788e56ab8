#!/bin/bash
# Prints the SQL that lets the worker's database user do what mih-worker, mih-replayer and mihctl do, and nothing else:
#
#   deploy/grants.sh --database moodle --prefix mdl_ --user mih --host 10.0.0.7 \
#       --password-file /etc/mih/database.password | mariadb
#
# The user may read services, rules and, through a view, the hub's site identifier and size of the log
# of config_plugins; pause a service; work on the outbox, the bindings, the statistics and the table of
# worker processes; update the state of circuit breakers; add to the log, read it and delete from it;
# add to and update the index of dead letters and the table of replays, but
# never delete from them, make a row another message's or change what was asked for; disable a rule
# whose address is gone. Of users, their profile fields, courses, categories and activities it may read
# the columns that templates and filters may name, and no others: no passwords, no secrets. It sees no
# other setting of Moodle, and may not change what a service or a rule says.
# tests/integration/test_database.py holds every statement against this.
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
# again: grants that exist stay. Run it again when an activity module was installed: the view of the
# activities' names has only the modules that it found. In a database without Moodle, what is read of
# Moodle's own tables is left out.
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
activities="\`$database\`.mih_${prefix}activities"

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
GRANT SELECT, UPDATE (paused) ON ${hub}_svc TO $account;
GRANT SELECT, UPDATE (enabled, timemodified, timedisabled, disabledreason) ON ${hub}_rules TO $account;
GRANT SELECT, INSERT, UPDATE (state, failure_count, last_failure, timemodified, trips, retryat, holder)
  ON ${hub}_cb TO $account;
GRANT SELECT, INSERT, DELETE ON ${hub}_log TO $account;
GRANT SELECT, INSERT, UPDATE, DELETE ON ${hub}_stat TO $account;
GRANT SELECT, INSERT, UPDATE, DELETE ON ${hub}_batch TO $account;
GRANT SELECT, INSERT, UPDATE, DELETE ON ${hub}_backlog TO $account;
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
  WHERE plugin = ''local_integrationhub'' AND name IN (''siteid'', ''max_log_entries'')', 'DO 0');
PREPARE statement FROM @view;
EXECUTE statement;
SET @grant = IF(@moodle, 'GRANT SELECT ON $view TO ${account//\'/\'\'}', 'DO 0');
PREPARE statement FROM @grant;
EXECUTE statement;
DEALLOCATE PREPARE statement;
EOF

# Prints a statement that is left out where a table of Moodle is missing: the table, the statement.
where_there_is() {
    cat <<EOF
SET @statement = IF((SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '$database' AND table_name = '$prefix$1'), '${2//\'/\'\'}', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;
EOF
}

may_read() {
    where_there_is "$1" "GRANT SELECT ($2) ON \`$database\`.$prefix$1 TO $account"
}

echo
echo '-- What templates and filters may name, and what finds it.'
may_read user 'id, deleted, address, alternatename, auth, city, country, department, email, firstname,
  firstnamephonetic, idnumber, institution, lang, lastname, lastnamephonetic, middlename, phone1, phone2,
  suspended, timecreated, timezone, username'
may_read user_info_field 'id, shortname, defaultdata'
may_read user_info_data 'userid, fieldid, data'
may_read course 'id, category, enddate, format, fullname, idnumber, lang, shortname, startdate, timecreated,
  visible'
may_read course_categories 'id, idnumber, name, parent, path, visible'
may_read course_modules 'id, added, course, idnumber, instance, module, visible'
may_read modules 'id, name'

echo
echo '-- The name of an activity stands in the table of its module. The view has a row with id 0 for each'
echo '-- module that it knows, so that a module that came later is told from an activity that is gone.'
echo 'SET SESSION group_concat_max_len = 1000000;'
echo "SET @activities = 'DO 0';"
where_there_is modules "SELECT CONCAT('CREATE OR REPLACE SQL SECURITY DEFINER VIEW $activities AS ',
  GROUP_CONCAT('SELECT ', QUOTE(m.name), ' AS modname, 0 AS id, NULL AS name UNION ALL SELECT ', QUOTE(m.name),
    ', id, name FROM \`$database\`.\`$prefix', m.name, '\`' ORDER BY m.id SEPARATOR ' UNION ALL '))
  INTO @activities FROM \`$database\`.${prefix}modules m WHERE EXISTS (SELECT 1 FROM information_schema.columns c
    WHERE c.table_schema = '$database' AND c.table_name = CONCAT('$prefix', m.name) AND c.column_name = 'name')"
cat <<EOF
SET @activities = COALESCE(@activities, 'DO 0');
PREPARE statement FROM @activities;
EXECUTE statement;
SET @grant = IF(@activities = 'DO 0', @activities, 'GRANT SELECT ON $activities TO ${account//\'/\'\'}');
PREPARE statement FROM @grant;
EXECUTE statement;
DEALLOCATE PREPARE statement;
EOF
