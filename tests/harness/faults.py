"""The fault suite: runs the cases of tests/faults and prints one table.

    faults.py [--short] [--jobs N] [--json] [--soak SECONDS] [CASE...]

CASE is a number of the list of faults, such as 34 or +41; without one all run.  --short runs a few cases with fewer events.  --soak lets random
faults strike a fleet for so long, one every 20 seconds, and runs nothing else.  Times are told and never decide, but for those that the case is
about.  The last line counts: passed, failed, and as skipped what belongs to parts that do not exist yet and faults that did not come about.
"""
import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import fleet

FOLDER = os.path.join(fleet.TOP, "tests", "faults")
MODULES = ("workers", "broker", "database", "sinks", "machine", "messages", "deadletters", "breaking", "upgrade", "soak")
COLUMNS = (("number", "case", 5), ("fault", "fault", -66), ("events", "events", 7), ("delivered", "delivered", 10), ("repeated", "repeated", 9),
           ("dead", "dead", 6), ("waiting", "waiting", 8), ("lost", "lost", 5), ("recovered", "recovered s", 12), ("verdict", "", -12))

NOT_PRODUCED = "not produced"


class Overtime(Exception):
    """A case took longer than it may."""


def _overtime(_number, _frame):
    raise Overtime("the case takes too long")


def order(entry):
    """The place of a case in the list."""
    digits = "".join(character for character in entry.number if character.isdigit())
    return (int(digits) if digits else 999, entry.number)


def registered():
    """All cases, in the order of the list."""
    import case  # pylint: disable=import-outside-toplevel
    for name in MODULES:
        importlib.import_module(name)
    return sorted(case.REGISTERED, key=order)


def run_one(entry, short):
    """Runs a case; returns its row with the verdict, its notes, and why it failed."""
    import case  # pylint: disable=import-outside-toplevel
    import guard  # pylint: disable=import-outside-toplevel
    if entry.work is None:
        return {"number": entry.number, "fault": entry.fault, "verdict": f"later: {entry.why}", "notes": [], "trouble": ""}
    began, trouble, verdict = time.monotonic(), "", "ok"
    trial = case.Trial(entry, short)
    signal.alarm(entry.seconds)
    try:
        entry.work(trial)
    except case.NotProduced as reason:
        verdict = NOT_PRODUCED
        trial.note(f"{entry.number}: {NOT_PRODUCED}: {reason}")
    except Exception as error:  # pylint: disable=broad-except
        logs = "".join(guard.tail(hub.fleet.log, 30) for hub in trial.hubs)
        text = str(error) if isinstance(error, case.CaseError) else "".join(traceback.format_exception(error))
        trouble = f"{text.rstrip()}\n{logs}"
    finally:
        signal.alarm(0)
        trial.close()
    row = dict(trial.row, verdict="FAIL" if trouble else verdict, notes=trial.notes, trouble=trouble, peak_mib=round(trial.peak_mib, 1),
               took=round(time.monotonic() - began, 1))
    print(f"{row['verdict']:<5}{row['took']:7.1f} s  {entry.number:>4} {entry.fault}", flush=True)
    if trouble:
        print("".join(f"      {line}\n" for line in trouble.splitlines()), flush=True)
    return row


def table(rows):
    """The lines of the table; what comes later is under it."""
    def cell(row, key, width):
        value = row.get(key)
        text = "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
        return text[:-width].ljust(-width) if width < 0 else text.rjust(width)
    lines = [" ".join(title.ljust(-width) if width < 0 else title.rjust(width) for _, title, width in COLUMNS).rstrip()]
    lines += [" ".join(cell(row, key, width) for key, _, width in COLUMNS).rstrip() for row in rows if not row["verdict"].startswith("later")]
    lines += [f"{row['number']:>5} {row['fault']} -- {row['verdict']}" for row in rows if row["verdict"].startswith("later")]
    return lines


def show(rows):
    """Table, notes and the greatest memory, for people."""
    print("\n" + "\n".join(table(rows)))
    for row in rows:
        for note in row["notes"]:
            print(f"  {note}")
    peaks = [row["peak_mib"] for row in rows if row.get("peak_mib")]
    if peaks:
        print(f"  highest memory of any worker: {max(peaks):.1f} MiB")


def in_parts(options):
    """Runs the suite in several processes, since cases wait more than they work; returns all rows."""
    rows = []
    with tempfile.TemporaryDirectory() as results:
        parts = []
        for part in range(1, options.jobs + 1):
            command = [sys.executable, os.path.abspath(__file__), "--part", f"{part}/{options.jobs}", "--result", os.path.join(results, str(part)),
                       *["--short"] * options.short, *options.cases]
            parts.append(subprocess.Popen(command, stdout=sys.stderr if options.json else None))
        for part, process in enumerate(parts, 1):
            status = process.wait()
            try:
                with open(os.path.join(results, str(part)), encoding="utf-8") as stream:
                    rows += json.load(stream)
            except (OSError, ValueError):
                rows.append({"number": "?", "fault": f"part {part} ended with {status} before it could tell", "verdict": "FAIL", "notes": [],
                             "trouble": ""})
    return sorted(rows, key=lambda row: (int("".join(c for c in row["number"] if c.isdigit()) or 999), row["number"]))


def chosen(options):
    """The cases that the command line asks for, of this process's part."""
    entries = [entry for entry in registered() if not options.cases or entry.number in options.cases]
    if options.short and not options.cases:
        entries = [entry for entry in entries if entry.short]
    number, parts = map(int, options.part.split("/"))
    return [entry for index, entry in enumerate(entries) if index % parts == number - 1]


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="faults.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few cases with fewer events")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time (default 2)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")
    parser.add_argument("--soak", type=int, metavar="SECONDS", help="only the soak, so long")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    if options.soak:
        os.environ["MIH_SOAK_SECONDS"] = str(options.soak)
        options.cases = ["+41"]
    return options


def main():
    """Entry point; 0 when no case failed."""
    options = arguments()
    sys.path[1:1] = [FOLDER, os.path.join(fleet.TOP, "tests", "bench")]
    signal.signal(signal.SIGALRM, _overtime)
    if options.part or len(options.cases) == 1 or options.jobs == 1:
        options.part = options.part or "1/1"
        rows = [run_one(entry, options.short) for entry in chosen(options)]
    else:
        rows = in_parts(options)
    if options.result:
        with open(options.result, "w", encoding="utf-8") as stream:
            json.dump(rows, stream)
        return 0
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)
    failed = sum(row["verdict"] == "FAIL" for row in rows)
    skipped = sum(row["verdict"].startswith("later") or row["verdict"] == NOT_PRODUCED for row in rows)
    if not options.json:
        print(f"{len(rows) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
