"""bench/run.sh without the preparations: which rows, on which machines, how often; then the report.

The machines take turns, and each run starts with another one, because a host's speed drifts.
"""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time

import plot
import report
from groups import all_groups
from machines import TOP, Emulator, Failed, Native, output

USAGE = "see sh bench/run.sh --help"
AS_IT_IS = "no switch"  # of -x


class Arguments:
    def __init__(self, words):
        self.groups, self.patterns, self.runs, self.ablate = [], [], 5, None
        self.cpu_time = False
        self.directory = os.path.join(TOP, "build", "bench")
        words = list(words)
        while words:
            word = words.pop(0)
            if word.isdigit() and int(word) > 0:
                self.runs = int(word)
            elif word == "-m":
                while words and not words[0].startswith("-") and not words[0].isdigit():
                    self.patterns.append(words.pop(0))
            elif word in ("-o", "--ablate") and words:
                if word == "-o":
                    self.directory = words.pop(0)
                else:
                    self.ablate = words.pop(0)
            elif word == "--cpu":
                self.cpu_time = True
            elif re.fullmatch("[a-z]+[0-9]*", word):
                self.groups.append(word)
            else:
                sys.exit("bench: %s: %s" % (word, USAGE))

    def chosen_groups(self, groups):
        names = [] if "all" in self.groups else self.groups
        chosen = [group for group in groups
                  if not names or group.name in names or group.name.rstrip("0123456789") in names]
        for name in names:
            if not any(name in (group.name, group.name.rstrip("0123456789")) for group in groups):
                sys.exit("bench: no group %s: %s" % (name, USAGE))
        if self.cpu_time:  # of the others not everything happens in one process
            chosen = [group for group in chosen if group.name.startswith("compute")]
        return chosen

    def chosen_rows(self, group):
        return [row for row in group.rows
                if not self.patterns or any(fnmatch.fnmatch(row, p) for p in self.patterns)]


def measure(group, rows, machines, runs):
    """Row -> machine -> values.  A run that fails is reported, and leaves a gap."""
    samples = {row: {machine.name: [] for machine in machines} for row in rows}
    for run in range(runs):
        turn = run % len(machines)
        for machine in machines[turn:] + machines[:turn]:
            print("bench: %s, run %d of %d: %s" % (group.name, run + 1, runs, machine.name),
                  file=sys.stderr)
            try:
                for row, value in group.run(machine, rows).items():
                    samples[row][machine.name].append(value)
            except (Failed, subprocess.SubprocessError, OSError) as error:
                group.warn("%s: %s" % (machine.name, error))
    return samples


def bench(arguments, ringer, qemu):
    cpu_time = arguments.cpu_time
    machines = [Native(cpu_time), Emulator("ringer", ringer, "translate", cpu_time=cpu_time)]
    if shutil.which(qemu):
        machines.append(Emulator("qemu", qemu, "tcg", cpu_time=cpu_time))
    facts = report.about(arguments.runs, qemu, cpu_time)
    groups = arguments.chosen_groups(all_groups())
    rows, warnings = [], [] if shutil.which(qemu) else ["%s is not here" % qemu]
    for group in groups:
        chosen = arguments.chosen_rows(group)
        if not chosen:
            continue
        samples = measure(group, chosen, [m for m in machines if m.name in group.machines],
                          arguments.runs)
        rows += [report.Row(group, row, samples[row]) for row in chosen]
        warnings += group.warnings
    if not rows:
        sys.exit("bench: no such row: %s" % USAGE)
    failed = bool(warnings)

    os.makedirs(arguments.directory, exist_ok=True)
    def path(name):
        return os.path.join(arguments.directory, name)
    if any(plot.points(row) for row in rows):
        picture = plot.write(path("plot.svg"), path("plot.png"), report.heading(facts), groups, rows)
        warnings += [picture] if picture else []
    text = report.heading(facts) + report.table(groups, rows, warnings)
    with open(path("table.txt"), "w", encoding="utf-8") as file:
        file.write(text)
    report.write_json(path("results.json"), facts, groups, rows, warnings)
    print(text)
    print("In %s: table.txt results.json plot.svg plot.png" % arguments.directory)
    return 1 if failed else 0


def switches(ringer):
    """[(switch, what it does)] as the program lists them: a line each."""
    try:
        text = output([ringer, "-x", "help"])
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit("bench: %s -x help: %s" % (ringer, error))
    found = re.findall(r"^[ \t]*([a-z0-9-]+)[ \t]+(\S.*)$", text, re.M)
    if not found:
        sys.exit("bench: %s -x help lists no switches" % ringer)
    return found


def ablate(arguments, ringer):
    """One row, everywhere it is found, with each switch by itself."""
    known = switches(ringer)
    machines = [Emulator(AS_IT_IS, ringer, "translate", cpu_time=arguments.cpu_time)]
    machines += [Emulator(name, ringer, "translate", ["-x", name], arguments.cpu_time)
                 for name, _ in known]
    groups = [group for group in arguments.chosen_groups(all_groups())
              if arguments.ablate in group.rows and "qemu" in group.machines]
    if not groups:
        sys.exit("bench: no row %s: %s" % (arguments.ablate, USAGE))
    for group in groups:
        began = time.monotonic()
        group.run(machines[0], [arguments.ablate])  # not counted: what time to give the others
        limit = 60 + 10 * (time.monotonic() - began)
        for machine in machines:
            machine.limit_seconds = limit
        samples = measure(group, [arguments.ablate], machines, arguments.runs)[arguments.ablate]
        unit = group.unit_of(arguments.ablate)
        found = {name: report.summary(values) for name, values in samples.items() if values}
        print("%s, %s: %d runs each; 1.00 is Ringer as it is" % (group.name, arguments.ablate,
                                                               arguments.runs))
        for name, what in [(AS_IT_IS, ""), *known]:
            if name in found:
                print("  %-14s %12s  %4.0f%%  %5s  %s" % (
                    name, report.shown(found[name]["median"], unit),
                    found[name]["spread_percent"],
                    report.times(report.ratio(found[name], found.get(AS_IT_IS))), what))
        for warning in group.warnings:
            print("  " + warning)
    return 1 if any(group.warnings for group in groups) else 0


def main():
    arguments = Arguments(sys.argv[1:])
    ringer = os.environ.get("RINGER", os.path.join(TOP, "build", "ringer"))
    qemu = os.environ.get("QEMU", "qemu-system-x86_64")
    if arguments.ablate:
        return ablate(arguments, ringer)
    return bench(arguments, ringer, qemu)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
