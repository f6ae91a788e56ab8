"""The demo with a real Moodle: an installed site with the plugin, real page requests of users who have logged in, and the fleet beside it.

Everything is set up as an administrator does it: the broker, the services and the rules by the plugin's command-line scripts, the fleet by the
configuration that worker_config.php prints and the database user of deploy/grants.sh.  In the middle the broker is stopped for a moment; what Moodle
cannot publish then waits in its outbox until the fleet's relay brings it.

What happened is told by Moodle's own log (logstore_standard), which shares nothing with the plugin.  A queue of the demo's own takes every message
that reaches the exchange; each must be in Moodle's log, field for field.
"""
import collections
import concurrent.futures
import json
import threading
import time

import account
import fleet
import services
from demo_report import bar
from demo_run import EXCHANGE, Demo, Facts, read_demo
from moodle import ADMIN_PASSWORD, Browser, Moodle

STUDENTS = 8
PARALLEL = 4                # browsers at work at a time; php-fpm has as many processes
OUTAGE_FROM = 20            # pages from which on the broker is stopped in the middle
AUDIT = "demo.audit"        # the queue that takes every message
LOG_COLUMNS = ("eventname", "component", "action", "target", "objecttable", "objectid", "crud", "edulevel", "contextid", "contextlevel",
               "contextinstanceid", "userid", "courseid", "relateduserid", "anonymous", "other", "timecreated", "ip", "origin", "realuserid")


class SiteFleet(fleet.Fleet):
    """A fleet that runs with a configuration as the plugin printed it."""

    def __init__(self, database, database_user, text):
        self.text = text
        super().__init__("", database, database_user, name="site-fleet")
        self.environment = {"MIH_SECURITY_ALLOW_NETWORKS": fleet.LOOPBACK}

    def write_configuration(self):
        """The plugin's words, nothing added."""
        services.write_file(self.configuration, self.text)


class Pages:
    """The page requests of a run: who makes them, how many are left, how long each took."""

    def __init__(self, total, url, world):
        self.total = total
        self.url = url
        self.world = world
        self.users = collections.deque([world["teacher"], *world["students"]])
        self.lock = threading.Lock()
        self.made = 0
        self.limit = 0          # how many may be made by now
        self.phase = None       # name of the list in `times` that takes the figures; None: none
        self.times = collections.defaultdict(list)

    def count(self, milliseconds):
        """Notes one request."""
        with self.lock:
            self.made += 1
            if self.phase:
                self.times[self.phase].append(milliseconds)

    def enough(self):
        """Whether no more should be made for now."""
        with self.lock:
            return self.made >= self.limit

    def run(self, phase, limit, watch):
        """Has several users at work at a time until so many requests were made altogether; calls `watch` again and again meanwhile."""
        self.phase, self.limit = phase, min(limit, self.total)
        at_once = max(1, min(PARALLEL, self.limit - self.made))
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            tasks = [pool.submit(self._work) for _ in range(at_once)]
            try:
                while concurrent.futures.wait(tasks, timeout=0.25).not_done:
                    watch()
            except BaseException:
                self.limit = 0  # the threads end with the page they are at
                raise
        for task in tasks:
            task.result()

    def _work(self):
        while not self.enough():
            with self.lock:
                user = self.users.popleft()
                self.users.append(user)
            self._visit(user)

    def _visit(self, user):
        """One visit: log in, look around, write, log out; ends early when there were enough pages."""
        browser = TimedBrowser(self.url, self)
        course, forum = self.world["course"], self.world["forum"]
        browser.login(user["username"], self.world["password"])
        steps = [
            lambda: browser.view_course(course),
            lambda: browser.get(f"/mod/forum/view.php?f={forum}"),
            lambda: browser.post_in_forum(forum, f"Question {self.made}", "Who can <b>help</b>? ¿Quién? 谁"),
            lambda: browser.get(f"/user/view.php?id={user['id']}&course={course}"),
            lambda: browser.view_course(course),
            lambda: browser.get(f"/grade/report/user/index.php?id={course}"),
            lambda: browser.get("/my/"),
            browser.logout,
        ]
        for step in steps:
            if self.enough():
                return
            step()


class TimedBrowser(Browser):
    """A browser whose requests are counted and timed."""

    def __init__(self, url, pages):
        super().__init__(url)
        self.pages = pages
        self.session_key = None

    def _open(self, path, data=None):
        began = time.monotonic()
        page = super()._open(path, data)
        self.pages.count((time.monotonic() - began) * 1000)
        if '"sesskey":"' in page:
            self.session_key = page.partition('"sesskey":"')[2].partition('"')[0]
        return page

    def logout(self):
        """Logs out by the link in the user's menu."""
        self.get(f"/login/logout.php?sesskey={self.session_key}")


class MoodleDemo(Demo):
    """The run with a real Moodle; see the module's text."""

    may_repeat = True           # the broker is stopped on purpose: a confirmation may be lost on the way

    def __init__(self, options, screen):
        super().__init__(options, screen)
        self.outage = None      # rows in the outbox when the broker came back; None: it was never stopped
        self.logged = {}        # id in Moodle's log -> event_key()
        self.logged_name = {}   # the same -> event name
        self.strange = []       # published events that Moodle's log does not know as they were sent
        self.unpublished = 0    # events that no rule wants and that never reached the broker

    # ---- setting up ----

    def start_servers(self):
        super().start_servers()
        started = time.monotonic()
        self.screen.say("Installing Moodle with the plugin.")
        self.moodle = Moodle(self.options.moodle, self.database)
        self.moodle.install()
        self.moodle.serve(children=PARALLEL)
        self.screen.say(f"Installed Moodle and serve it by nginx and php-fpm ({time.monotonic() - started:.0f} s).")

    def load_tables(self):
        """Broker, services and rules by the plugin's scripts; the fleet's database user by deploy/grants.sh."""
        self.moodle.configure_broker(self.broker.url)
        for service in read_demo("services.json", self.places):
            self.moodle.cli("service", f"--add={service['name']}", f"--url={service['base_url']}", f"--type={service['type']}",
                            f"--auth={service['auth_type']}", "--token-stdin", f"--timeout={service['timeout']}",
                            f"--max-concurrency={service['max_concurrency']}", f"--cb-cooldown={service.get('cb_cooldown', 30)}",
                            f"--max-retries={service.get('max_retries', 3)}",
                            stdin=service["auth_token"])
        for rule in read_demo("rules.json") + read_demo("moodle-rules.json"):
            template = [] if rule["payload_template"] is None else [f"--template={rule['payload_template']}"]
            self.moodle.cli("rule", f"--add={rule['eventname']}", f"--service={rule['service']}", f"--endpoint={rule['endpoint']}",
                            f"--method={rule['http_method']}", *template)
        self.take_rules({row["name"]: int(row["id"]) for row in self.listed("service")},
                        [{"id": int(row["id"]), "serviceid": int(row["serviceid"]), "eventname": row["eventname"]} for row in self.listed("rule")])
        self.account = fleet.Account(self.database)

    def listed(self, script):
        """What a script of the plugin lists."""
        return json.loads(self.moodle.cli(script, "--list", "--json"))

    def start_fleet(self):
        text = self.moodle.cli("worker_config", f"--user={self.account.user}", "--password-stdin", stdin=self.account.password + "\n")
        self.fleet = SiteFleet(self.database, self.account, text).start()
        self.wait_bound("one worker process for each core, by the configuration that the plugin printed")

    # ---- the events ----

    def play(self):
        self.begin_audit()
        self.screen.say("Making users, a course, a forum and enrolments.")
        world = self.moodle.make_world(students=STUDENTS)
        pages = self.pages = Pages(self.options.events, self.moodle.url, world)
        self.screen.say(f"Requesting about {pages.total} pages as {len(pages.users)} users, {PARALLEL} at a time.")
        pages.run(None, pages.total // 10, self.watch)          # the first pages fill Moodle's caches; nobody wants their times
        if pages.total >= OUTAGE_FROM:
            pages.run("with the broker", pages.total // 2, self.watch)
            self.break_broker()
        pages.run("with the broker", pages.total, self.watch)
        self.screen.progress(self.words(), final=True)
        done = self.wait_done() and self.replay()
        self.settle()
        return done

    def begin_audit(self):
        """From here on every event counts."""
        self.rabbit.declare("--queue", AUDIT, "--bind", f"{EXCHANGE}:#")
        self.log_start = int(self.database.value("SELECT COALESCE(MAX(id), 0) FROM mdl_logstore_standard_log"))

    def watch(self):
        """Called while pages are requested."""
        self.check_fleet()
        self.delivered()
        self.screen.progress(self.words())

    def words(self):
        """The state, while pages are requested."""
        return (f"{bar(self.pages.made, self.pages.total)} {self.pages.made:,} of {self.pages.total:,} pages, "
                f"{self.delivered():,} deliveries, {self.waiting_rows()} events in the outbox")

    def waiting_rows(self):
        """Rows in Moodle's outbox."""
        return int(self.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_outbox"))

    def break_broker(self):
        """Stops the broker while users go on, until something waits in the outbox and some pages were made; then starts it again."""
        before = self.pages.made
        self.screen.say("Stopping the broker. The users go on.")
        self.broker.stop()
        share = max(4, self.pages.total // 10)
        self.pages.run("with the broker away", before + share, self.watch)
        while not self.waiting_rows() and not self.pages.made >= self.pages.total:
            self.pages.run("with the broker away", self.pages.made + share, self.watch)
        rows = self.waiting_rows()
        self.screen.say(f"Starting the broker again; {rows} events wait in Moodle's outbox.")
        self.broker.start()
        self.outage = rows

    def still_publishing(self):
        """Reads what Moodle has logged (all of it again: rows become visible in any order); more is to come while the outbox is not empty."""
        columns = ", ".join(LOG_COLUMNS)
        known = len(self.logged)
        self.expected = 0
        for row in self.database.query(f"SELECT id, {columns} FROM mdl_logstore_standard_log WHERE id > {self.log_start}"):
            data = dict(zip(LOG_COLUMNS, row[1:]))
            data["other"] = json.loads(data["other"]) if data["other"] is not None else None
            self.logged[int(row[0])] = event_key(data)
            self.logged_name[int(row[0])] = data["eventname"]
            self.expected += len(self.rules.wanting(data["eventname"]))
        return len(self.logged) != known or self.waiting_rows() > 0

    # ---- the sums ----

    def facts(self):
        """Joins Moodle's log with the messages that reached the broker and those that wait in the outbox."""
        facts = Facts()
        by_key = collections.defaultdict(list)
        for identifier, key in self.logged.items():
            by_key[key].append(identifier)
        for message, data, republished in self.audited():
            if message in facts.published:
                continue
            facts.published[message] = account.milliseconds_of(message + ":")
            self._match(by_key, facts, message, data)
            if republished:
                facts.relayed.add(message)
        for message, name, payload in self.database.query("SELECT messageid, eventname, payload FROM mdl_local_integrationhub_outbox"):
            if message not in facts.published:
                facts.in_outbox[message] = name
                self._match(by_key, facts, message, json.loads(payload))
        for identifiers in by_key.values():
            for identifier in identifiers:
                facts.happened[f"logged as {identifier}"] = self.logged_name[identifier]
                self.unpublished += not self.rules.wanting(self.logged_name[identifier])
        return facts

    def _match(self, by_key, facts, message, data):
        """Takes the log's record of a message out of `by_key`; several alike (a page opened twice in a second) are taken in turn."""
        records = by_key.get(event_key(data))
        if records:
            facts.happened[message] = self.logged_name[records.pop(0)]
        else:
            self.strange.append(f"{data['eventname']} ({message})")

    def audited(self):
        """(message id, event, whether the relay published it) of every message that reached the exchange, in order."""
        for message in self.rabbit.drain(AUDIT, peek=True):
            yield message["properties"]["message_id"], json.loads(message["body"]), "x-mih-republished" in message["headers"]

    def faults(self, summary, done):
        faults = super().faults(summary, done)
        if self.strange:
            faults.append(f"{len(self.strange)} published events are not in Moodle's own log as they were sent, such as {self.strange[0]}")
        if self.outage is not None and not self.outage:
            faults.append("no event waited in the outbox while the broker was away")
        return faults

    def tell_more(self, say):
        """Page times and the oracle's words."""
        say("")
        say(f"{'Pages':<22}{'requests':>8}{'p50':>11}{'p95':>10}")
        for phase, times in self.pages.times.items():
            times = sorted(times)
            say(f"{phase:<22}{len(times):>8,}{account.percentile(times, 0.50):>8,.0f} ms{account.percentile(times, 0.95):>7,.0f} ms")
        say("")
        say(f"Moodle's own log holds {len(self.logged):,} events of this run: the sums above go by it.")
        if not self.strange:
            say("Every event that was published equals its record there in all fields.")
        if self.outage is not None:
            say(f"When the broker came back {self.outage} wanted events waited in the outbox, and more came while Moodle still left it alone (10 s "
                "after a failure); the fleet's relay brought them.")
        repeated = len(self.arrivals) - self.delivered()
        if repeated:
            say(f"{repeated} deliveries came twice, with the same webhook-id: their confirmation was lost when the broker went away.")
        if self.unpublished:
            say(f"{self.unpublished} events that no rule wants did not reach the broker: such events are published, but not kept while it is away.")

    def how_to_look(self):
        student = self.pages.world["students"][0]["username"]
        return [f"  {self.moodle.url}/    log in as admin, password {ADMIN_PASSWORD}; or {student}, password {self.pages.world['password']}",
                f"  cd {self.moodle.dir}; php local/integrationhub/cli/rule.php --list; php local/integrationhub/cli/broker.php --show",
                *super().how_to_look()]


def event_key(data):
    """What Moodle's log and a message must agree on: every field, numbers as text."""
    return tuple(json.dumps(data["other"], sort_keys=True) if column == "other" else _text(data[column]) for column in LOG_COLUMNS)


def _text(value):
    if isinstance(value, bool):
        value = int(value)
    return None if value is None else str(value)
