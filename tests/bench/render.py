"""Payloads per second of CPU: the worker's templates, PHP's way (str_replace, json_decode, json_encode), and the bare print of json-c."""
import os
import statistics
import subprocess

from lab import HERE, ROOT

EVENTS = os.path.join(ROOT, "tests", "data", "moodle-events.jsonl")
# What both can do: keys of the event, no value that breaks JSON when it is replaced as text.
TEMPLATE = ('{"source": "moodle", "what": {"component": "{{component}}", "action": "{{action}}", "target": "{{target}}",'
            ' "table": "{{objecttable}}"}, "object": "{{objectid}}", "actor": {{userid}}, "course": {{courseid}},'
            ' "context": {"id": {{contextid}}, "level": {{contextlevel}}, "instance": {{contextinstanceid}}}, "student": "{{relateduserid}}",'
            ' "at": {{timecreated}}, "from": "{{origin}}", "anonymous": {{anonymous}}}')


def ways(build):
    """Key, title, command: in the order of the table."""
    program, script = os.path.join(build, "bin", "mih-bench-render"), os.path.join(HERE, "render.php")
    php = ["php", "-n", "-d", "memory_limit=512M", script]
    return (("render", "worker, event parsed before", [program, "render"]), ("parse", "worker, parsing the event too", [program, "parse"]),
            ("php", "PHP, event decoded before", [*php, "render"]), ("phpparse", "PHP, decoding the event too", [*php, "parse"]),
            ("jsonc", "bare print of json-c", [program, "json-c"]))


def measure(build, rounds, seconds, say):
    """All in turn, round after round; {key: median of payloads per second}, {key: bytes of one round}."""
    found, size = {}, {}
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for key, title, command in ways(build):
            done = subprocess.run([*command, TEMPLATE, EVENTS, str(seconds)], capture_output=True, text=True, check=False)
            if done.returncode != 0 or len(done.stdout.split()) != 2:
                raise RuntimeError(f"{title}: {done.stdout}{done.stderr}")
            rate, size[key] = map(int, done.stdout.split())
            found.setdefault(key, []).append(rate)
            say(f"  {title:<32}{rate:>12,}/s")
    # Both sides made the same: PHP's json_encode() and the worker's printer agree byte for byte.
    if len({size[key] for key in ("render", "parse", "php", "phpparse")}) != 1:
        raise RuntimeError(f"the payloads are not the same: bytes {size}")
    return {key: statistics.median(rates) for key, rates in found.items()}


def table(rates, build):
    """The figures as lines."""
    lines = [f"{'Payloads per second of CPU on one core':<44}{'':>12}{'of PHP':>10}"]
    for key, title, _ in ways(build):
        base = "phpparse" if key in ("parse", "phpparse") else "php"
        lines.append(f"  {title:<42}{rates[key]:>12,.0f}{rates[key] / rates[base]:>9.1f}x")
    lines.append(f"the worker's templates are {rates['render'] / rates['php']:.1f} times as fast as PHP's way (target: 10;"
                 f" {rates['parse'] / rates['phpparse']:.1f} with the event), {rates['render'] / rates['jsonc']:.2f} times the bare print of json-c")
    return lines
