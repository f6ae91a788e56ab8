"""A real browser for tests of pages: Debian's Chromium without a window, spoken to over two pipes by the DevTools protocol.

    with Browser() as browser:
        page = browser.page(width=1280, height=900)
        page.open("http://127.0.0.1:8080/login/index.php")
        page.fill("#username", "admin")
        page.click("button[type=submit]", leaves=True)
        page.wait("document.querySelector('.usermenu')")
        page.screenshot("/tmp/page.png")

Selectors are CSS.  Nothing sleeps: every step waits for a condition and fails with what the page shows when it does not come.  The guard
starts the browser and kills it at the end.  What the page's console says is kept in `page.faults` when it is an error.
"""
import base64
import json
import os
import queue
import threading
import time

import guard

SECONDS = 20
# As root Chromium starts only without its sandbox; the pages are our own.
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync",
           "--no-default-browser-check", "--force-color-profile=srgb", "--lang=en", "--remote-debugging-pipe", "about:blank")

# The middle of an element that is in view, stands still, is not covered by another one, and not disabled.
CLICKABLE = """(async () => {
    const element = document.querySelector(%s);
    if (!element?.checkVisibility() || element.disabled) { return null; }
    element.scrollIntoView({block: 'center', behavior: 'instant'});
    const frame = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const before = element.getBoundingClientRect();
    await frame();
    const box = element.getBoundingClientRect();
    const middle = {x: box.x + box.width / 2, y: box.y + box.height / 2};
    const top = document.elementFromPoint(middle.x, middle.y);
    return before.x === box.x && before.y === box.y && top && (element.contains(top) || top.contains(element)) ? middle : null;
})()"""


class BrowserError(Exception):
    """A step did not work; the message holds what the page shows."""


class Browser:
    """One browser process; closed at the end of the `with` block."""

    def __init__(self):
        self.folder = guard.folder("mih-browser-")
        pipes = [os.path.join(self.folder, name) for name in ("in", "out")]
        for pipe in pipes:
            os.mkfifo(pipe)
        # The browser reads descriptor 3 and writes descriptor 4.
        command = 'exec chromium "$@" 3<"$MIH_IN" 4>"$MIH_OUT"'
        environment = dict(os.environ, MIH_IN=pipes[0], MIH_OUT=pipes[1], HOME=self.folder)
        self.process = guard.Process(["sh", "-c", command, "chromium", f"--user-data-dir={self.folder}/profile", *OPTIONS],
                                     os.path.join(self.folder, "log"), env=environment)
        self.output = open(pipes[0], "wb", buffering=0)
        self.input = open(pipes[1], "rb", buffering=0)
        self.lock = threading.Lock()
        self.last = 0
        self.answers = {}
        self.pages = {}
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the browser."""
        self.output.close()
        self.process.kill9()
        self.input.close()

    def _read(self):
        """The reading thread: hands each answer to who waits for it, each event to its page."""
        rest = b""
        while True:
            try:
                data = self.input.read(1 << 16)
            except (OSError, ValueError):
                return
            if not data:
                return
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    if message["id"] in self.answers:
                        self.answers[message["id"]].put(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].happened(message["method"], message["params"])

    def send(self, method, session=None, answer=None, **parameters):
        """A command of the protocol, whose answer goes into a queue, if any; returns its number."""
        with self.lock:
            self.last += 1
            if answer is not None:
                self.answers[self.last] = answer
            message = {"id": self.last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
            self.output.write(json.dumps(message).encode() + b"\0")
            return self.last

    def call(self, method, session=None, **parameters):
        """A command of the protocol; returns its result."""
        answer = queue.Queue()
        number = self.send(method, session, answer, **parameters)
        try:
            found = answer.get(timeout=60)
        except queue.Empty:
            raise BrowserError(f"{method}: no answer\n{guard.tail(self.process.log)}") from None
        del self.answers[number]
        if "error" in found:
            raise BrowserError(f"{method}: {found['error'].get('message')}")
        return found["result"]

    def page(self, width=1280, height=900):
        """A new page of its own session: nobody is logged in."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, width, height)


class Page:
    """One page."""

    def __init__(self, browser, session, width, height):
        self.browser, self.session = browser, session
        self.faults = []
        self.width = width
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method, **parameters):
        """A command of the protocol to this page."""
        return self.browser.call(method, self.session, **parameters)

    def happened(self, method, parameters):
        """Keeps what the console says of errors; leaves a form whose changes were not saved."""
        if method == "Page.javascriptDialogOpening":
            self.browser.send("Page.handleJavaScriptDialog", self.session, accept=True)
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description") or details.get("text"))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.faults.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.faults.append(" ".join(str(value.get("value", value.get("description"))) for value in parameters["args"]))

    def resize(self, width, height=900):
        """The size of the window; below 500 pixels that of a phone."""
        self.width = width
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)

    # ---- what the page is ----

    def js(self, expression):
        """The value of an expression, or of the promise that it is."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise BrowserError(f"{expression[:200]}: {details.get('exception', {}).get('description') or details['text']}")
        return found["result"].get("value")

    def text(self, selector="body"):
        """The visible text of an element."""
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count(self, selector):
        """How many elements there are."""
        return self.js(f"document.querySelectorAll({json.dumps(selector)}).length")

    def value(self, selector):
        """What a field holds."""
        return self.js(f"document.querySelector({json.dumps(selector)}).value")

    def wait(self, expression, seconds=SECONDS, what=None):
        """Waits until an expression is true; returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.js(expression)
            except BrowserError as error:       # the page is being replaced by the next one
                found, trouble = None, str(error)
            else:
                trouble = ""
            if found or found == {}:            # an element has no value of its own
                return found
            if time.monotonic() > deadline:
                raise BrowserError(f"waited {seconds} s for {what or expression} {trouble}\n{self.url()}\n{self.text()[:2500]}\n{self.faults[-5:]}")
            time.sleep(0.02)

    def wait_text(self, text, selector="body", seconds=SECONDS):
        """Waits until an element shows a text."""
        self.wait(f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(text)})", seconds, f"the text {text!r}")

    def url(self):
        """The address of the page."""
        return self.js("location.href")

    # ---- what a person does ----

    def open(self, url):
        """Opens an address; returns once the page and Moodle's scripts are ready."""
        self.leave(lambda: self.call("Page.navigate", url=url))

    def leave(self, step):
        """Does what leads to another page and waits for that one."""
        self.js("window.mihOldPage = true")
        step()
        self.wait("!window.mihOldPage && document.readyState === 'complete' && (typeof M === 'undefined' || !M.util || !M.util.pending_js || "
                  "M.util.pending_js.length === 0)", 60, "the next page")

    def click(self, selector, leaves=False):
        """Clicks with the mouse; `leaves` waits for the page that comes of it."""
        box = self.wait(CLICKABLE % json.dumps(selector), what=f"something to click: {selector}")
        if leaves:
            self.leave(lambda: self._mouse(box))
        else:
            self._mouse(box)

    def _mouse(self, box):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **box, **button)

    def click_text(self, selector, text, leaves=False):
        """Clicks the first visible element of a selector that has exactly this text."""
        mark = (f"(() => {{ document.querySelectorAll('[data-mih-click]').forEach(e => e.removeAttribute('data-mih-click'));"
                f"const e = [...document.querySelectorAll({json.dumps(selector)})].find(e => e.checkVisibility() && "
                f"e.innerText.trim() === {json.dumps(text)}); e?.setAttribute('data-mih-click', '1'); return !!e; }})()")
        self.wait(mark, what=f"{selector} with the text {text!r}")
        self.click("[data-mih-click]", leaves)

    def fill(self, selector, text):
        """Types into a field, in place of what it holds; again when a script has taken the focus away meanwhile."""
        self.wait(f"document.querySelector({json.dumps(selector)})?.checkVisibility()", what=f"a field: {selector}")
        deadline = time.monotonic() + SECONDS
        while True:
            self.js(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
            if text:
                self.call("Input.insertText", text=text)
            else:
                self.key("Delete")
            if self.value(selector) == text:
                break
            if time.monotonic() > deadline:
                raise BrowserError(f"{selector} holds {self.value(selector)!r}, not {text!r}")
        self.js(f"document.querySelector({json.dumps(selector)}).dispatchEvent(new Event('change', {{bubbles: true}}))")

    def key(self, name):
        """Presses a key."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "Delete": 46}
        text = {"text": "\r"} if name == "Enter" else {}       # without it no form is sent
        for kind, more in (("keyDown" if text else "rawKeyDown", text), ("keyUp", {})):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=codes[name], **more)

    def choose(self, selector, value):
        """Chooses an option of a list by its value."""
        self.js(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
                "e.dispatchEvent(new Event('change', {bubbles: true})); })()")
        if self.value(selector) != value:
            raise BrowserError(f"{selector} has no option {value!r}")

    def tick(self, selector, on=True):
        """Sets a switch."""
        if self.js(f"document.querySelector({json.dumps(selector)}).checked") != on:
            self.click(selector)

    # ---- what it looks like ----

    def screenshot(self, path):
        """The whole page as PNG, once it has taken its size."""
        self.js("window.scrollTo({top: 0, behavior: 'instant'})")
        self.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))))")
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": self.width, "height": min(size["height"], 6000), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        with open(path, "wb") as stream:
            stream.write(base64.b64decode(data))

    def overflow(self):
        """What is wider than the window: selectors, for a test of phone width; [] when nothing is."""
        return self.js("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1 ? [] : "
                       "[...document.querySelectorAll('#region-main *')].filter(e => e.getBoundingClientRect().right > "
                       "document.documentElement.clientWidth + 1).slice(0, 5).map(e => e.tagName + '.' + e.className)")
