"""A reader of Prometheus's text format, as a scraper sees it, and of health pages.

    pages = Pages(port)
    pages.get("/readyz")                        # (200, "ready\\n", headers)
    figures = pages.figures()
    figures.value("mih_deliveries_total", service="7", verdict="delivered")    # the sum of all series with these labels
    figures.series("mih_child_up")              # [({"child": "0"}, 1.0), ...]
"""
import http.client
import re

LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Figures:
    """One scrape."""

    def __init__(self, text):
        self.text = text
        self.lines = []
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = LINE.fullmatch(line).groups()
                self.lines.append((name, dict(LABEL.findall(labels or "")), float(value)))

    def series(self, name, **labels):
        """(labels, value) of the series of a metric that have these labels."""
        return [(found, value) for other, found, value in self.lines if other == name and labels.items() <= found.items()]

    def value(self, name, **labels):
        """Their sum; None when there is none."""
        found = self.series(name, **labels)
        return sum(value for _, value in found) if found else None


class Pages:
    """What is served at a port of loopback."""

    def __init__(self, port, host="127.0.0.1"):
        self.host, self.port = host, port

    def get(self, path, method="GET", seconds=10):
        """(status, text, headers)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def figures(self):
        """The metrics."""
        return Figures(self.get("/metrics")[1])

    def listening(self):
        """Whether anybody answers at all."""
        try:
            self.get("/healthz")
            return True
        except OSError:
            return False
