"""The pages in a real browser: an administrator connects services and writes rules, and every page is looked at on a desk and on a phone.

MIH_PICTURES names a folder that keeps a picture of every page in both widths; without it they disappear with the run.  On every page axe-core (npm)
must find no serious barrier.
"""
import functools
import os
import shutil
import urllib.parse

import guard
import moodle_site
from browser import Browser
from moodle import ADMIN_PASSWORD
from sink import Sink
from soap import SoapServer

WIDTHS = {"desk": 1280, "phone": 390}
AXE = os.path.join(moodle_site.HERE, "axe")
SERIOUS = """axe.run({include: [['#region-main']]}, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})
    .then(result => result.violations.filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(' | ')))"""


@functools.lru_cache(maxsize=None)
def axe():
    """The script of axe-core, or None where there is no npm."""
    if not shutil.which("npm"):
        return None
    folder = guard.folder("mih-axe-")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(AXE, name), folder)
    status, _, errors = guard.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, seconds=300)
    if status != 0:
        raise RuntimeError(errors.decode(errors="replace"))
    with open(os.path.join(folder, "node_modules", "axe-core", "axe.min.js"), encoding="utf-8") as stream:
        return stream.read()


class PageTest(moodle_site.SiteTest):
    """An administrator who has logged in; Moodle shows every notice of a developer on the page."""

    children = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        moodle = cls.site.moodle
        for name, value in (("debug", 32767), ("debugdisplay", 1), ("curlsecurityblockedhosts", ""), ("curlsecurityallowedport", "")):
            moodle.set_config(name, value, component=None)
        cls.site.settings(allownetworks="127.0.0.0/8")
        # Fleets of other tests, which have ended, do not count as seen a moment ago.
        cls.site.database.query(f"DELETE FROM {moodle.table('worker')}")
        cls.pictures = os.environ.get("MIH_PICTURES") or guard.folder("mih-pictures-")
        os.makedirs(cls.pictures, exist_ok=True)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.page = cls.login("admin", ADMIN_PASSWORD)

    def setUp(self):
        pass                                # the tests of a class go on where the one before has ended

    @classmethod
    def login(cls, user, password):
        """A page of a user who has logged in."""
        page = cls.browser.page()
        page.open(cls.site.moodle.url + "/login/index.php")
        page.fill("#username", user)
        page.fill("#password", password)
        page.click("#loginbtn", leaves=True)
        page.wait("document.querySelector('#user-menu-toggle, .usermenu a')", what="a user who has logged in")
        return page

    def go(self, name, **parameters):
        """Opens a page of the plugin."""
        self.page.open(f"{self.site.moodle.url}/local/integrationhub/{name}.php?{urllib.parse.urlencode(parameters)}")

    def look(self, name, page=None):
        """The page as it is, in both widths: nothing is wider than the window, nothing untranslated, no notice, no error of a script, no barrier."""
        page = page or self.page
        for what, width in WIDTHS.items():
            page.resize(width)
            page.screenshot(os.path.join(self.pictures, f"{name}-{what}.png"))
            self.assertEqual([], page.overflow(), f"{name}: wider than a {what}")
        page.resize(WIDTHS["desk"])
        text = page.text()
        for sign in (r"\[\[", "Notice:", "Warning:", "Deprecated:", "Exception -", r"line \d+ of /"):
            self.assertNotRegex(text, sign, name)
        self.assertEqual(0, page.count(".debuggingmessage, .notifytiny"), f"{name}: {page.text('.debuggingmessage, .notifytiny')}")
        self.assertEqual([], [fault for fault in page.faults if not self.is_foreign(fault)], name)
        if axe():
            page.js(f"if (typeof axe === 'undefined') {{ {axe()} }}")
            self.assertEqual([], page.js(SERIOUS), name)

    def is_foreign(self, fault):
        """Whether it is none of ours: filters want scripts of other hosts, browsers an icon, and Moodle's debug panel may come before its place."""
        if fault.startswith("Failed to load resource"):
            return "favicon.ico" in fault or self.site.moodle.url not in fault
        return "GlobalDebugPanel" in fault

    def save(self, button="#id_submitbutton"):
        """Sends the form."""
        self.page.click(button, leaves=True)

    def rows(self, table):
        """Texts of a table's rows."""
        return self.page.js(f"[...document.querySelectorAll('{table} tbody tr')].map(r => r.innerText)")

    def menu(self, row, item, leaves=True):
        """Chooses an item of the menu of the row that has a text."""
        self.page.js("(row => { const r = [...document.querySelectorAll('table tbody tr')].find(r => r.innerText.includes(row));"
                     f"r.querySelector('[data-toggle=dropdown], [data-bs-toggle=dropdown]').id = 'mih-menu'; }})({row!r})")
        self.page.click("#mih-menu")
        self.page.click_text(".dropdown-menu.show a", item, leaves)


class Pages(PageTest):
    """In the order of the tests' numbers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.soap = SoapServer()
        cls.addClassCleanup(cls.soap.close)

    def test_1_the_dashboard_says_what_is_missing(self):
        self.go("index")
        self.page.wait_text("Start the workers", "[data-next=worker]")
        self.assertEqual(0, self.page.count("[data-next=broker], [data-next=rule]"))
        self.look("dashboard-no-worker")
        if axe():                           # it would find one
            self.page.js("document.querySelector('#region-main').append(new Image())")
            self.assertRegex(self.page.js(SERIOUS)[0], "^image-alt: ")

    def test_2_a_rest_service_is_added_tried_paused_and_copied(self):
        page = self.page
        self.go("services")
        self.look("services")
        page.click_text("a", "Add REST service", leaves=True)
        self.look("service-rest")
        page.fill("#id_name", "a b")
        page.fill("#id_base_url", "ftp://nowhere")
        page.fill("#id_auth_token", "T0P-SECRET")
        self.save()
        for field, words in (("name", "letters without accents"), ("base_url", "not a valid URL"), ("auth_token", "enter it again")):
            page.wait_text(words, f"#id_error_{field}")
        self.assertEqual("", page.value("#id_auth_token"))
        self.look("service-rest-faults")
        page.fill("#id_name", "crm")
        page.fill("#id_base_url", self.sink.url + "/body/fast")
        page.fill("#id_auth_token", "T0P-SECRET")
        self.save()
        page.wait_text("crm", "#ih-services-table")

        self.menu("crm", "Test connection")
        page.choose("#id_method", "POST")
        page.fill("#id_path", "/users")
        self.save()
        page.wait_text("Success", "#ih-connection-result")
        self.assertEqual("200", page.text("#ih-connection-result [data-region=status]"))
        self.assertIn('{"ok":true}', page.text("#ih-connection-result"))
        self.look("service-test")
        [request] = self.sink.new_requests()
        self.assertEqual(("POST", "/body/fast/users", "Bearer T0P-SECRET"), (request["method"], request["uri"], request["authorization"]))

        self.go("services")
        self.menu("crm", "Pause")
        page.wait_text("Paused", "[data-service=crm]")
        self.menu("crm", "Resume")
        page.wait_text("Active", "[data-service=crm]")
        self.menu("crm", "Edit")
        self.assertEqual("", page.value("#id_auth_token"))
        self.assertNotIn("T0P-SECRET", page.js("document.documentElement.outerHTML"), "D18")
        page.click_text(".btn", "Cancel") if page.count("#id_cancel") == 0 else page.click("#id_cancel", leaves=True)
        self.menu("crm", "Duplicate")
        self.assertEqual(1, len([row for row in self.rows("#ih-services-table") if "crm-2" in row or "crm_2" in row or "copy" in row.lower()]),
                         self.rows("#ih-services-table"))

    def test_3_a_soap_service_offers_the_operations_of_its_wsdl(self):
        page = self.page
        self.go("service", type="soap")
        page.fill("#id_name", "erp")
        page.fill("#id_base_url", self.soap.url + "/calculator.wsdl")
        page.choose("#id_auth_type", "none")
        page.click("[data-action=ih-operations]")
        page.wait("document.querySelectorAll('[data-region=ih-operations-result] code').length > 0", what="operations")
        self.look("service-soap")
        self.save()
        page.wait_text("erp", "#ih-services-table")
        self.menu("erp", "Test connection")
        self.save()
        page.wait_text("Success", "#ih-connection-result")

    def test_4_an_amqp_connection_is_built_of_its_parts(self):
        page = self.page
        url = urllib.parse.urlsplit(self.site.broker.url)
        self.go("service", type="amqp")
        page.fill("#id_name", "bus")
        page.fill("#id_amqp_host", url.hostname)
        page.tick("#id_amqp_tls", False)
        page.fill("#id_amqp_port", str(url.port))
        page.fill("#id_amqp_user", urllib.parse.unquote(url.username))
        page.fill("#id_amqp_pass", urllib.parse.unquote(url.password))
        page.fill("#id_amqp_vhost", urllib.parse.unquote(url.path[1:]) or "/")
        self.look("service-amqp")
        self.save()
        page.wait_text("bus", "#ih-services-table")
        self.assertNotIn(url.password, page.js("document.documentElement.outerHTML"), "D18")
        self.look("services-three")
        self.menu("bus", "Test connection")
        self.save()
        page.wait_text("has accepted the connection", "#ih-connection-result")
        self.look("service-test-amqp")

    def test_5_a_rule_is_chosen_written_previewed_and_refused_until_it_is_right(self):
        page, world = self.page, self.site.world
        self.site.moodle.login(world["students"][0]["username"], world["password"]).view_course(world["course"])
        self.site.wait_idle()
        self.go("rule")
        page.click("[data-region=ih-picker] summary")
        page.fill("#ih-picker-search", "course viewed")
        page.js("document.querySelector('#ih-picker-search').dispatchEvent(new Event('input', {bubbles: true}))")
        self.look("rule-picker")
        page.click(r"[data-event='\\core\\event\\course_viewed']")
        self.assertEqual(r"\core\event\course_viewed", page.value("#id_eventname"))
        crm = page.js("[...document.querySelectorAll('#id_serviceid option')].find(o => o.text.startsWith('crm (')).value")
        page.choose("#id_serviceid", crm)
        page.fill("#id_endpoint", "/views")
        page.fill("#id_payload_template", '{"who": {{userid}}, "what": }')
        page.click("[data-action=ih-preview]")
        page.wait_text("Line 1, column", "#ih-preview-result [data-fault=payload_template]")
        self.save()
        page.wait_text("Line 1, column", "#id_error_payload_template")
        self.look("rule-fault")
        page.fill("#id_payload_template", '{"who": {{userid}}, "what": ""}')
        page.js("document.querySelector('#id_payload_template').setSelectionRange(29, 29)")
        page.click("[data-region=ih-fields] summary")
        page.click("[data-path='course.fullname']")
        self.assertEqual('{"who": {{userid}}, "what": "{{course.fullname}}"}', page.value("#id_payload_template"))
        page.fill("#id_filter", '{"courseid": %d}' % world["course"])
        page.click("[data-action=ih-preview]")
        page.wait_text(r"Qu\u00edmica & <F\u00edsica>", "[data-region=ih-body]")
        self.assertIn("POST " + self.sink.url + "/body/fast/views", page.text("[data-region=ih-request]"))
        self.assertRegex(page.text("[data-region=ih-count]"), r"Would have matched ([1-9]\d*) of \1 events")
        self.assertNotIn("T0P-SECRET", page.js("document.documentElement.outerHTML"), "D18")
        self.look("rule-preview")
        self.save()
        page.wait_text("Course viewed", "#ih-rules-table")
        self.assertIn("Not active yet", page.text("#ih-rules-table"))

    def test_6_rules_are_searched_and_changed_several_at_once(self):
        page = self.page
        self.go("rules")
        self.look("rules")
        self.menu("Course viewed", "Duplicate")
        self.assertEqual(2, len([row for row in self.rows("#ih-rules-table") if "Course viewed" in row]))
        page.fill("#ih-search", "event\\course_v")
        page.leave(lambda: page.key("Enter"))
        page.wait("document.querySelectorAll('#ih-rules-table tbody tr:not(.emptyrow)').length === 2", what="two rules found")
        page.click("#ih-rules-all")
        page.choose("#ih-bulk-action", "disable")
        page.click("#ih-rules-form button[type=submit]", leaves=True)
        rows = [row for row in self.rows("#ih-rules-table") if "Course viewed" in row]
        self.assertEqual([True, True], ["Disabled" in row for row in rows])
        self.menu("Course viewed", "Delete")
        self.look("rule-delete")
        page.click(".btn-danger", leaves=True)
        self.assertEqual(1, len([row for row in self.rows("#ih-rules-table") if "Course viewed" in row]))

    def test_7_a_service_is_deleted_when_its_consequences_were_named(self):
        page = self.page
        self.go("services")
        self.menu("crm", "Delete service")
        page.wait_text("Rules deleted:", "#region-main")
        self.look("service-delete")
        self.assertIn("crm", page.text("#region-main"))
        page.click(".btn-danger", leaves=True)
        self.go("service_import")
        self.look("import")

    def test_8_a_manager_who_may_not_configure_the_site_uses_the_pages_and_a_teacher_is_turned_away(self):
        world, url = self.site.world, f"{self.site.moodle.url}/local/integrationhub"
        manager, teacher = world["students"][1], world["teacher"]
        self.site.database.query("INSERT INTO mdl_role_assignments (roleid, contextid, userid, timemodified) "
                                 f"SELECT id, 1, {manager['id']}, 1 FROM mdl_role WHERE shortname = 'manager'")
        page = self.login(manager["username"], world["password"])
        for name in ("index", "services", "rules"):
            page.open(f"{url}/{name}.php")
            self.look(f"manager-{name}", page)
            self.assertEqual(1, page.count("[aria-current=page].nav-link.active"), name)
        page = self.login(teacher["username"], world["password"])
        page.open(f"{url}/index.php")
        self.assertIn("do not currently have permissions", page.text())
