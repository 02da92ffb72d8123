"""Medians, spreads, ratios; the table that is read and the JSON that is kept."""
import datetime
import json
import math
import os
import platform
import statistics
import subprocess

from groups import BYTES, CYCLES, NS, PERCENT, RATE
from machines import TOP


def summary(values):
    """Median, and the distance from the least to the greatest as a percentage of it."""
    median = statistics.median(values)
    spread = 100 * (max(values) - min(values)) / median if median else 0.0
    return {"median": median, "spread_percent": spread, "values": values}


def ratio(a, b):
    return a["median"] / b["median"] if a and b and b["median"] else None


def geometric_mean(numbers):
    return math.exp(sum(map(math.log, numbers)) / len(numbers)) if numbers else None


class Row:
    """One row of the results: what each machine measured."""

    def __init__(self, group, name, samples):
        self.group, self.name, self.unit = group, name, group.unit_of(name)
        self.machines = {machine: summary(values) for machine, values in samples.items() if values}
        ringer, qemu, native = (self.machines.get(m) for m in ("ringer", "qemu", "native"))
        self.to_native = ratio(ringer, native)
        self.qemu_to_native = ratio(qemu, native)
        self.times_qemu = ratio(qemu, ringer)  # how many times faster (smaller) than QEMU

    def means(self):
        """Does the row belong to its group's mean? Only times and cycles do."""
        return self.unit in (NS, CYCLES)

    def as_json(self):
        return {"group": self.group.name, "row": self.name, "unit": self.unit,
                "machines": self.machines, "ringer_to_native": self.to_native,
                "qemu_to_native": self.qemu_to_native, "qemu_to_ringer": self.times_qemu}


def mean_of(rows, key):
    return geometric_mean([getattr(row, key) for row in rows if row.means() and getattr(row, key)])


def shown(value, unit):
    if unit == NS:
        for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
            if value >= size:
                return "%s %s" % (digits(value / size), name)
        return "%s ns" % digits(value)
    if unit == BYTES:
        return "%.1f MiB" % (value / (1 << 20))
    if unit == PERCENT:
        return "%.2f %%" % value
    if unit == RATE:
        return "%.2f M/s" % (value / 1e6)
    if unit == CYCLES:
        return "%s cyc" % digits(value)
    return "%.2f" % value


def digits(value):
    return "%.0f" % value if value >= 1000 else "%.3g" % value


def times(value):
    return "" if value is None else "%.2f" % value


def cell(found):
    """Two columns: the median and its spread."""
    return lambda unit: (shown(found["median"], unit), "%.0f%%" % found["spread_percent"]) if found \
        else ("", "")


HEAD = ("row", "native", "+-", "Ringer", "+-", "QEMU", "+-", "Ringer/native", "QEMU/native",
        "QEMU/Ringer")


def table(groups, rows, warnings):
    """The results as lines of text."""
    text = []
    for group in groups:
        mine = [row for row in rows if row.group is group]
        if not mine:
            continue
        lines = [HEAD]
        for row in mine:
            line = [row.name]
            for machine in ("native", "ringer", "qemu"):
                line += cell(row.machines.get(machine))(row.unit)
            lines.append((*line, times(row.to_native), times(row.qemu_to_native),
                          times(row.times_qemu)))
        if len([row for row in mine if row.means()]) > 1:
            means = [mean_of(mine, key) for key in ("to_native", "qemu_to_native", "times_qemu")]
            lines.append(("geometric mean", "", "", "", "", "", "", *map(times, means)))
            lines.append(("worst", "", "", "", "", "", "",
                          times(worst(mine, "to_native", max)),
                          times(worst(mine, "qemu_to_native", max)),
                          times(worst(mine, "times_qemu", min))))
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
        text += ["", "%s: %s" % (group.name, group.title)]
        for line in lines:
            text.append("  " + "  ".join(
                word.ljust(width) if i == 0 else word.rjust(width)
                for i, (word, width) in enumerate(zip(line, widths))).rstrip())
    if warnings:
        text += ["", "To be looked at:"] + ["  " + warning for warning in warnings]
    return "\n".join(text[1:]) + "\n"


def worst(rows, key, choose):
    values = [getattr(row, key) for row in rows if row.means() and getattr(row, key)]
    return choose(values) if values else None


def first_line(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False).stdout.partition("\n")[0]
    except OSError:
        return ""


def host():
    """What the numbers were measured on."""
    model = ""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0],
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def heading(about):
    return ("%s, %d CPUs, load %.1f at the start; %d run%s each%s; Ringer %s, %s\n\n" % (
        about["host"]["cpu"], about["host"]["cpus"], about["host"]["load"], about["runs"],
        "" if about["runs"] == 1 else "s",
        "" if about["clock"] == "time" else ", CPU time", about["commit"] or "?", about["qemu"] or "no QEMU"))


def about(runs, qemu, cpu_time):
    return {"clock": "CPU time" if cpu_time else "time", "host": host(), "runs": runs, "qemu": first_line(qemu, "--version"),
            "commit": first_line("git", "-C", TOP, "describe", "--always", "--dirty")}


def write_json(path, facts, groups, rows, warnings):
    means = {group.name: {key: mean_of([row for row in rows if row.group is group], attribute)
                          for key, attribute in (("ringer_to_native", "to_native"),
                                                 ("qemu_to_native", "qemu_to_native"),
                                                 ("qemu_to_ringer", "times_qemu"))}
             for group in groups}
    counters = [counter for group in groups for counter in getattr(group, "counters", [])]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**facts, "rows": [row.as_json() for row in rows], "geometric_means": means,
                   "translator_counters": counters, "warnings": warnings}, file, indent=1)
        file.write("\n")
