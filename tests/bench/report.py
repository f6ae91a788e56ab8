"""Figures to text: medians over the rounds, the ratios, and the targets of DESIGN.md section 11 with what was reached."""
import statistics

from contestants import CONCURRENCY

OLD_PLUGIN_RATE = 85     # messages/s of the existing plugin's ad hoc tasks, measured elsewhere (COMPAT.md section 1); not run here
KEYS = ("rate", "cpu", "memory")

# (what, contestant, figure, "at least" or "at most", factor, the one it is compared with)
RATIOS = (
    ("throughput", "fleet1", "rate", ">=", 0.8, "bare1"),
    ("throughput", "fleet2", "rate", ">=", 0.8, "bare2"),
    ("CPU", "fleet1", "cpu", "<=", 1.4, "bare1"),
    ("CPU", "fleet2", "cpu", "<=", 1.4, "bare2"),
    ("throughput", "fleet1", "rate", ">=", 1.1, "node1"),
    ("throughput", "fleet2", "rate", ">=", 1.1, "node2"),
    ("CPU", "fleet1", "cpu", "<=", 0.8, "node1"),
    ("CPU", "fleet2", "cpu", "<=", 0.8, "node2"),
    ("memory", "fleet1", "memory", "<=", 0.25, "node1"),
    ("memory", "fleet2", "memory", "<=", 0.25, "node2"),
    ("throughput", "fleet1", "rate", ">=", 4, "symfony"),
    ("throughput", "fleet1", "rate", ">=", 4, "symfonyclassic"),
    ("throughput", "fleet2", "rate", ">=", 10, "celery"),
)
MEMORY_LIMIT_MIB = 32
QUIET = 0.1     # share of the machine that other programs may use before a figure says little


def median(runs):
    """The median of each figure over the rounds, and the extremes of the rate."""
    middle = {key: statistics.median(run[key] for run in runs) for key in KEYS}
    middle["others"] = statistics.median(run["others"] for run in runs)
    rates = [run["rate"] for run in runs]
    if "latency" in runs[0]:
        middle["latency"] = statistics.median(run["latency"] for run in runs)
    return {**middle, "messages": runs[0]["messages"], "rounds": len(runs), "rate_min": min(rates), "rate_max": max(rates)}


def table(delay, results, titles):
    """The table of one delay as lines; `results` is {key: median}."""
    title = "answers at once" if delay == 0 else f"answers after {delay} ms"
    head = f"{'service ' + title:<34}{'messages/s':>11}{'min':>8}{'max':>8}{'CPU s/1000':>12}{'MiB/proc':>10}"
    others = [key for key in ("bare", "node", "symfony", "celery") if any(other.startswith(key) for other in results)]
    lines = [head + "".join(f"{'x ' + key:>10}" for key in others)]
    for key, row in results.items():
        ratios = "".join(_ratio(results, key, other) for other in others)
        lines.append(f"{titles[key]:<34}{row['rate']:>11,.0f}{row['rate_min']:>8,.0f}{row['rate_max']:>8,.0f}{row['cpu']:>12.4f}"
                     f"{row['memory']:>10.1f}{ratios}")
    return lines


def _rival(results, key, other):
    """The contestant of that kind with as many processes, else the one there is."""
    return next((name for name in (other + key[-1], other) if name in results), other + "1" if other + "1" in results else None)


def _ratio(results, key, other):
    rival = _rival(results, key, other)
    return f"{'-':>10}" if key == "wrk" or rival is None else f"{results[key]['rate'] / results[rival]['rate']:>10.2f}"


def targets(results):
    """Every target that the runs can judge: dicts with what, value, bound, reached. `results` is {delay: {key: median}}."""
    found = []
    instant = results.get(0, {})
    for what, key, figure, sign, factor, other in RATIOS:
        if key in instant and other in instant:
            found.append(_target(f"{key}: {what} / {other}", instant[key][figure] / instant[other][figure], sign, factor))
    for key, row in instant.items():
        if key.startswith("fleet"):
            found.append(_target(f"{key}: MiB per process", row["memory"], "<=", MEMORY_LIMIT_MIB))
            found.append(_target(f"{key}: throughput / existing plugin ({OLD_PLUGIN_RATE}/s, not run here)", row["rate"] / OLD_PLUGIN_RATE,
                                 ">=", 150))
    for delay, rows in results.items():
        for key, row in rows.items():
            if delay and key.startswith("fleet"):
                latency = rows["wrk"]["latency"] if "wrk" in rows else delay
                allowed = CONCURRENCY * int(key[-1]) * 1000 / latency
                found.append(_target(f"{key}, {delay} ms: throughput / {allowed:,.0f} (concurrency x processes / latency, "
                                     f"{latency:.1f} ms as {'wrk saw it' if 'wrk' in rows else 'configured'})", row["rate"] / allowed, ">=", 0.9))
    return found


def flat_targets(flat):
    """The targets of the memory measurement; `flat` is {messages: {"rss", "peak"}}."""
    small, large = (flat[count] for count in sorted(flat))
    return [_target("child: peak MiB", large["peak"], "<=", MEMORY_LIMIT_MIB),
            _target(f"child: peak MiB at {max(flat):,} / at {min(flat):,} messages", large["peak"] / small["peak"], "<=", 1.05)]


def _target(what, value, sign, bound):
    reached = value >= bound if sign == ">=" else value <= bound
    return {"what": what, "value": round(value, 3), "bound": f"{sign} {bound}", "reached": reached}


def disturbance(results):
    """One line about the other programs on the machine."""
    shares = [row["others"] for rows in results.values() for row in rows.values()]
    text = f"other programs used {statistics.median(shares):.0%} of the machine during the runs (at most {max(shares):.0%})"
    return text + (": judge no target by figures of a busy machine" if max(shares) > QUIET else "")


def target_lines(found):
    """The targets as lines."""
    return [f"  {'reached    ' if row['reached'] else 'NOT reached'}  {row['value']:>9,.2f}  {row['bound']:>7}  {row['what']}" for row in found]
