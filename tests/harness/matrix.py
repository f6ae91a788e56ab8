"""A matrix of what was tried against real servers: transport x way to authenticate x body x outcome.

    matrix = Matrix("REST")
    matrix.cell("https, HTTP/2", "bearer", "json", "delivered, 200")       # from what the server and the dead letters say
    matrix.show()

Each cell is one real run; a cell that nobody filled is "-".  The outcome is text of the caller's, made of what was seen, not of what was expected.
"""


class Matrix:
    """Cells, and their table."""

    def __init__(self, title):
        self.title = title
        self.cells = {}

    def cell(self, transport, auth, body, outcome):
        """Notes an outcome; a second one of the same cell stands beside the first."""
        known = self.cells.setdefault((transport, auth, body), [])
        if outcome not in known:
            known.append(outcome)

    def text(self):
        """A line for each transport and way to authenticate, a column for each body, in the order in which they came."""
        bodies = list(dict.fromkeys(body for _, _, body in self.cells))
        pairs = list(dict.fromkeys((transport, auth) for transport, auth, _ in self.cells))
        rows = [["transport", "auth", *bodies]]
        rows += [[transport, auth, *["; ".join(self.cells.get((transport, auth, body), ["-"])) for body in bodies]] for transport, auth in pairs]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(field.ljust(width) for field, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([f"{self.title}: {sum(map(len, self.cells.values()))} outcomes, each of a real server", *lines])

    def show(self):
        """Prints it."""
        print("\n" + self.text() + "\n", flush=True)
