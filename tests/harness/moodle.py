"""A real Moodle for tests, the demo and the benchmark, made from a tree of its code.

    with MariaDB() as database:
        moodle = Moodle(os.environ["MOODLE_DIR"], database)
        moodle.install()                                   # the site, with the plugin
        moodle.configure_broker(broker.url)
        world = moodle.make_world(students=5)              # users, a course, a forum; ids and passwords
        with moodle.serve():
            student = moodle.login(world["students"][0]["username"], world["password"])
            student.view_course(world["course"])
            student.post_in_forum(world["forum"], "Subject", "Text")

The tree is copied into a temporary folder and never touched.  Plugins that are not Moodle's own are left out of the copy, so that every tree of a
version behaves alike.  Nothing is downloaded: PHPUnit comes from Debian's packages by way of a small vendor/ folder in the copy.
"""
import contextlib
import html.parser
import http.cookiejar
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import guard
import services

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.join(os.path.dirname(os.path.dirname(HERE)), "moodle-plugin")
ADMIN_PASSWORD = "Admin-1234"
LOCALE = "en_AU.UTF-8"


class MoodleError(Exception):
    """A step did not work; the message holds what Moodle printed."""


def find_tree(path):
    """The folder of Moodle's code: `path` itself or the folder moodle in it."""
    for folder in (path, os.path.join(path, "moodle")):
        if os.path.isfile(os.path.join(folder, "version.php")) and os.path.isfile(os.path.join(folder, "lib", "setup.php")):
            return os.path.abspath(folder)
    raise MoodleError(f"{path} is no tree of Moodle's code: there is no version.php and lib/setup.php in it")


class Moodle:
    """One site.  `dir` is the copy of the code, `data` its data folder, `url` its address while it is served."""

    def __init__(self, tree, database, prefix="mdl_"):
        self.tree = find_tree(tree)
        self.database = database
        self.prefix = prefix
        self.folder = guard.folder("mih-moodle-")
        self.dir = os.path.join(self.folder, "moodle")
        self.data = os.path.join(self.folder, "data")
        self.url = "http://127.0.0.1"
        self.user, self.password = "moodle", "moodle-password"
        self._servers = []
        os.mkdir(self.data)
        os.mkdir(os.path.join(self.folder, "ini"))
        services.write_file(os.path.join(self.folder, "ini", "mih.ini"), "max_input_vars = 5000\nmemory_limit = 512M\n")
        self._copy_tree()
        database.query(f"CREATE USER IF NOT EXISTS '{self.user}'@'127.0.0.1' IDENTIFIED BY '{self.password}';"
                       f"GRANT ALL ON *.* TO '{self.user}'@'127.0.0.1'", database="")
        self._write_config()

    # ---- the copy ---------------------------------------------------------------------------------------------------------------------------

    def _copy_tree(self):
        """Copies the code, without version control, configuration and foreign plugins."""
        foreign = set(foreign_plugins(self.tree))
        top = {".git", "config.php", "phpunit.xml", "node_modules"}

        def ignored(folder, names):
            relative = os.path.relpath(folder, self.tree)
            if relative == ".":
                return [name for name in names if name in top]
            return [name for name in names if os.path.normpath(os.path.join(relative, name)) in foreign]

        shutil.copytree(self.tree, self.dir, symlinks=True, ignore=ignored)

    def _write_config(self):
        lines = {
            "dbtype": "mariadb", "dblibrary": "native", "dbhost": "127.0.0.1", "dbname": self.database.database, "dbuser": self.user,
            "dbpass": self.password, "prefix": self.prefix, "wwwroot": self.url, "dataroot": self.data, "admin": "admin",
            "phpunit_prefix": "phpu_", "phpunit_dataroot": os.path.join(self.folder, "phpunit"),
        }
        text = "<?php\nunset($CFG);\nglobal $CFG;\n$CFG = new stdClass();\n"
        text += "".join(f"$CFG->{key} = '{value}';\n" for key, value in lines.items())
        text += f"$CFG->dboptions = ['dbport' => {self.database.port}, 'dbcollation' => 'utf8mb4_unicode_ci'];\n"
        text += "$CFG->directorypermissions = 02777;\n$CFG->noreplyaddress = 'noreply@example.com';\n$CFG->noemailever = true;\n"
        text += "require_once(__DIR__ . '/lib/setup.php');\n"
        services.write_file(os.path.join(self.dir, "config.php"), text, 0o644)

    # ---- command line -----------------------------------------------------------------------------------------------------------------------

    def environment(self, **more):
        """The environment of PHP on the command line."""
        return dict(os.environ, PHP_INI_SCAN_DIR=":" + os.path.join(self.folder, "ini"), **more)

    def php(self, *arguments, stdin="", seconds=600, **environment):
        """Runs a PHP script of the tree (or any other arguments of php) and returns its standard output; raises MoodleError when it fails."""
        status, output, errors = guard.run(["php", *arguments], stdin.encode(), env=self.environment(**environment), cwd=self.dir, seconds=seconds)
        output, errors = output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")
        if status != 0:
            raise MoodleError(f"php {' '.join(arguments)}: exit code {status}\n{output[-3000:]}{errors[-3000:]}")
        return output

    def script(self, name, *arguments, **options):
        """Runs a PHP script of this folder inside the site; it gets the tree's folder as first argument and prints JSON, which is returned."""
        output = self.php(os.path.join(HERE, name), self.dir, *(str(argument) for argument in arguments), **options)
        try:
            return json.loads(output)
        except ValueError as error:
            raise MoodleError(f"{name} printed no JSON: {output[-2000:]}") from error

    def cli(self, name, *arguments, **options):
        """Runs one of the plugin's command-line scripts."""
        return self.php(f"local/integrationhub/cli/{name}.php", *arguments, **options)

    # ---- the site ---------------------------------------------------------------------------------------------------------------------------

    def install(self, plugin=True):
        """Installs the site; with the plugin unless told otherwise."""
        if plugin:
            self.copy_plugin()
        with self.unsafe_database():
            self._install_database()

    def _install_database(self):
        self.php("admin/cli/install_database.php", "--agree-license", "--lang=en", "--fullname=Moodle Integration Hub", "--shortname=mih",
                 "--adminuser=admin", f"--adminpass={ADMIN_PASSWORD}", "--adminemail=admin@example.com")
        self.set_config("registrationpending", 0, component=None)

    @contextlib.contextmanager
    def unsafe_database(self):
        """While thousands of small statements run, a commit does not wait for the disk."""
        value = self.database.value("SELECT @@innodb_flush_log_at_trx_commit")
        self.database.query("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
        try:
            yield
        finally:
            self.database.query(f"SET GLOBAL innodb_flush_log_at_trx_commit = {value}")

    def copy_plugin(self, source=PLUGIN):
        """Puts the plugin's code in its place."""
        target = os.path.join(self.dir, "local", "integrationhub")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)

    def install_plugin(self):
        """Installs or upgrades the plugin in a site that runs."""
        self.copy_plugin()
        self.upgrade()

    def upgrade(self):
        """Runs Moodle's upgrade."""
        self.php("admin/cli/upgrade.php", "--non-interactive")

    def set_config(self, name, value, component="local_integrationhub"):
        """Sets a setting, of the plugin unless told otherwise."""
        where = [f"--component={component}"] if component else []
        self.php("admin/cli/cfg.php", *where, f"--name={name}", f"--set={value}")

    def configure_broker(self, url, mode="safe"):
        """Has the plugin publish to a broker."""
        self.cli("broker", "--set", stdin=url + "\n")
        self.set_config("mode", mode)

    def make_world(self, students=3):
        """Makes users, a course and a forum, enrols the users; returns their ids, names and the common password."""
        return self.script("moodle_world.php", students)

    def table(self, name):
        """Name of a table of the plugin, with the prefix."""
        return f"{self.prefix}local_integrationhub_{name}"

    # ---- pages ------------------------------------------------------------------------------------------------------------------------------

    def serve(self, children=4, ini=""):
        """Serves the site by php-fpm and nginx on a free port until the end of the `with` block (or `stop_serving`)."""
        ini = ("max_input_vars = 5000\nmemory_limit = 256M\nopcache.enable = 1\nopcache.memory_consumption = 192\n"
               f"opcache.max_accelerated_files = 20000\n{ini}")
        self.fpm = services.PhpFpm(ini=ini, children=children)
        self._servers.append(self.fpm)
        self.nginx = services.Nginx(NGINX.replace("{root}", self.dir).replace("{fpm}", self.fpm.socket))
        self._servers.append(self.nginx)
        self.url = self.nginx.url
        self._write_config()
        return self

    def stop_serving(self):
        """Stops php-fpm and nginx."""
        while self._servers:
            self._servers.pop().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_serving()

    def login(self, username, password):
        """A browser's session of a user who has logged in through the login page."""
        browser = Browser(self.url)
        browser.login(username, password)
        return browser

    # ---- PHPUnit ----------------------------------------------------------------------------------------------------------------------------

    def prepare_phpunit(self):
        """Makes the vendor folder and the test site; again after the plugin's version has changed."""
        make_locale()
        self._make_vendor()
        os.makedirs(os.path.join(self.folder, "phpunit"), exist_ok=True)
        with self.unsafe_database():
            self.php("admin/tool/phpunit/cli/init.php", "--disable-composer", seconds=1200)

    def _make_vendor(self):
        """Debian's PHPUnit and vfsStream, where Moodle looks for Composer's."""
        vendor = os.path.join(self.dir, "vendor")
        if os.path.exists(os.path.join(vendor, "phpunit", "phpunit", "composer.json")) and os.path.exists(os.path.join(vendor, "bin", "phpunit")):
            return
        os.makedirs(os.path.join(vendor, "phpunit", "phpunit"), exist_ok=True)
        os.makedirs(os.path.join(vendor, "bin"), exist_ok=True)
        for path, text in {
                "autoload.php": "<?php\nrequire_once('PHPUnit/Autoload.php');\nrequire_once('org/bovigo/vfs/autoload.php');\n",
                "phpunit/phpunit/composer.json": '{"name": "phpunit/phpunit"}\n',
                "bin/phpunit": "<?php\nrequire_once(__DIR__ . '/../autoload.php');\ndefined('PHPUNIT_COMPOSER_INSTALL') || "
                               "define('PHPUNIT_COMPOSER_INSTALL', __DIR__ . '/../autoload.php');\nPHPUnit\\TextUI\\Command::main();\n",
                "../composer.phar": "<?php\n"}.items():
            services.write_file(os.path.join(vendor, path), text, 0o644)

    def phpunit(self, *arguments, seconds=1800, **environment):
        """Runs the plugin's PHPUnit tests; returns (exit code, output, path of the JUnit report)."""
        report = os.path.join(self.folder, "junit.xml")
        done = subprocess.run(["php", "vendor/bin/phpunit", "-c", "phpunit.xml", "--testsuite", "local_integrationhub_testsuite", "--log-junit",
                               report, *arguments], cwd=self.dir, env=self.environment(**environment), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)
        return done.returncode, done.stdout, report


NGINX = """
    access_log off;
    client_max_body_size 64m;
    server {
        listen 127.0.0.1:{port};
        root {root};
        index index.php;
        location ~ ^(?<script>.+\\.php)(?<path>/.*)?$ {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$script;
            fastcgi_param SCRIPT_NAME $script;
            fastcgi_param PATH_INFO $path;
            fastcgi_read_timeout 120s;
            fastcgi_pass unix:{fpm};
        }
    }
"""


def foreign_plugins(tree):
    """Folders, relative to the tree, of the plugins that are not Moodle's own."""
    lists = [os.path.join(tree, "lib", name) for name in ("plugins.json", "components.json")]
    if not all(os.path.isfile(path) for path in lists):
        return                              # before Moodle 4.5 the list is PHP code; such a tree is taken as it is
    with open(lists[0], encoding="utf-8") as plugins, open(lists[1], encoding="utf-8") as components:
        standard = json.load(plugins)["standard"]
        types = json.load(components)["plugintypes"]
    for kind, folder in types.items():
        path = os.path.join(tree, folder)
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            if name not in standard.get(kind, []) and os.path.isfile(os.path.join(path, name, "version.php")):
                yield os.path.join(folder, name)


def make_locale():
    """Moodle's tests want the locale en_AU.UTF-8."""
    have = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.lower().replace("-", "")
    if LOCALE.lower().replace("-", "") not in have:
        language, charset = LOCALE.split(".")
        done = subprocess.run(["localedef", "-i", language, "-f", charset, LOCALE], capture_output=True, text=True, check=False)
        if done.returncode > 1:             # 1: made, with warnings
            raise MoodleError(f"cannot make the locale {LOCALE} (package locales): {done.stderr}")


class Browser:
    """What a browser does: cookies, redirects, forms.  `here` is the address of the last page; paths are relative to it."""

    def __init__(self, url):
        self.here = url
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path):
        """The text of a page, after redirects; raises MoodleError on an HTTP error."""
        return self._open(path)

    def post(self, path, fields):
        """Sends a form."""
        return self._open(path, urllib.parse.urlencode(fields).encode())

    def _open(self, path, data=None):
        url = urllib.parse.urljoin(self.here, path)
        try:
            with self.opener.open(url, data, timeout=120) as answer:
                self.here = answer.geturl()
                return answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            raise MoodleError(f"{url}: HTTP {error.code}: {plain(text)[:1500]}") from error

    def submit(self, page, fields, having, button=None):
        """Fills the form of a page that has the field `having`, and sends it."""
        for form in Forms.of(page):
            if having in form["fields"]:
                values = dict(form["fields"], **fields)
                for name in form["buttons"]:
                    if name != button:
                        values.pop(name, None)
                return self.post(form["action"], values)
        raise MoodleError(f"the page has no form with a field {having}: {plain(page)[:1500]}")

    def login(self, username, password):
        """Logs in through the login page."""
        page = self.submit(self.get("/login/index.php"), {"username": username, "password": password}, "logintoken")
        if "login/logout.php" not in page:
            raise MoodleError(f"{username} cannot log in: {plain(page)[:1500]}")

    def view_course(self, course):
        """Opens a course page."""
        return self.get(f"/course/view.php?id={course}")

    def post_in_forum(self, forum, subject, text):
        """Starts a discussion."""
        page = self.get(f"/mod/forum/post.php?forum={forum}")
        page = self.submit(page, {"subject": subject, "message[text]": text, "message[format]": "1"}, "subject", "submitbutton")
        if subject not in page:
            raise MoodleError(f"the discussion does not appear: {plain(page)[:1500]}")


class Forms(html.parser.HTMLParser):
    """Collects the forms of a page with the values that a browser would send."""

    def __init__(self):
        super().__init__()
        self.forms = []
        self._list = None                   # name of the select we are in
        self._area = None                   # name of the textarea we are in

    @classmethod
    def of(cls, page):
        """The forms of a page: dicts of action, fields and buttons."""
        parser = cls()
        parser.feed(page)
        return parser.forms

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.forms.append({"action": attributes.get("action") or "", "fields": {}, "buttons": []})
        elif self.forms:
            take = {"input": self._input, "button": self._button, "select": self._select, "option": self._option,
                    "textarea": self._textarea}.get(tag)
            if take:
                take(attributes, self.forms[-1])

    def _input(self, attributes, form):
        name, kind = attributes.get("name"), attributes.get("type", "text")
        if not name or (kind in ("checkbox", "radio") and "checked" not in attributes) or "disabled" in attributes:
            return
        form["fields"][name] = attributes.get("value") or ""
        if kind in ("submit", "image", "button"):
            form["buttons"].append(name)

    def _button(self, attributes, form):
        if attributes.get("name"):
            form["buttons"].append(attributes["name"])

    def _select(self, attributes, _form):
        self._list = attributes.get("name")

    def _option(self, attributes, form):
        if self._list and ("selected" in attributes or self._list not in form["fields"]):
            form["fields"][self._list] = attributes.get("value") or ""

    def _textarea(self, attributes, form):
        self._area = attributes.get("name")
        if self._area:
            form["fields"][self._area] = ""

    def handle_data(self, data):
        if self._area and self.forms:
            self.forms[-1]["fields"][self._area] += data

    def handle_endtag(self, tag):
        if tag == "textarea":
            self._area = None
        elif tag == "select":
            self._list = None


class _Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.words, self.skip = [], False

    def handle_starttag(self, tag, attrs):
        self.skip = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.skip = False

    def handle_data(self, data):
        if not self.skip:
            self.words += data.split()


def plain(page):
    """The text of a page, for error messages."""
    parser = _Text()
    parser.feed(page)
    return " ".join(parser.words)
