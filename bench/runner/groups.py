"""The groups of rows.  A group runs as a whole on one machine and gives a value for each row.

Values are what is printed: nanoseconds, cycles, bytes, percent, numbers a second.  `check` collects
what must be the same wherever a row runs.
"""
import os
import re
import time

from machines import Failed

NS, CYCLES, BYTES, PERCENT, RATE, RATIO = "ns", "cycles", "bytes", "percent", "per second", "ratio"


class Group:
    machines = ("native", "ringer", "qemu")

    def __init__(self, name, title, rows, unit=NS):
        self.name, self.title, self.rows, self.unit = name, title, rows, unit
        self.units = {}     # of rows that have another
        self.check = {}     # row -> what it has to print
        self.warnings = []

    def unit_of(self, row):
        return self.units.get(row, self.unit)

    def arguments(self, wanted):
        return [] if list(wanted) == list(self.rows) else list(wanted)

    def values(self, lines, machine, wanted):
        """Row -> value out of lines "name value check", or "name value" and "name.sum check";
        complains of what is missing or wrong."""
        result, sums = {}, {}
        for line in lines:
            row, _, is_sum = line.name.partition(".")
            if row not in wanted or not line.fields:
                continue
            if not is_sum:
                result[row] = float(line.fields[0])
            sums.setdefault(row, []).extend(line.fields[0 if is_sum else 1:])
        for row, words in sums.items():
            check = words[0] if words else "-"
            if self.check.setdefault(row, check) != check:
                self.warn("%s in %s: result %s, elsewhere %s" % (
                    row, machine.name, check, self.check[row]))
        for row in wanted:
            if row not in result:
                self.warn("%s: no result of %s" % (machine.name, row))
        return result

    def parts(self, suffixes, wanted, measure):
        """Rows named KIND_SUFFIX: measure(suffix) gives kind -> value.  One that fails leaves the
        others."""
        result = {}
        for suffix in suffixes:
            if any(row.endswith("_%s" % suffix) for row in wanted):
                try:
                    for kind, value in measure(suffix).items():
                        result["%s_%s" % (kind, suffix)] = value
                except Failed as error:
                    self.warn("%s: %s" % (suffix, error))
        return {row: value for row, value in result.items() if row in wanted}

    def warn(self, text):
        self.warnings.append("%s: %s" % (self.name, text))

    def host_time(self, lines, result, machine, guest_ns):
        """A guest's clock may run wrong; the host's is what counts.  guest_ns(line): how long the
        line took by the guest's clock, None where the line does not tell."""
        if machine.name == "native":
            return result
        pairs = [(line.host_ns, guest_ns(line)) for line in lines if line.name in result]
        pairs = [(host, guest) for host, guest in pairs if guest]
        host, guest = (sum(times) for times in zip(*pairs)) if pairs else (1, 1)
        if abs(host / guest - 1) < 0.03:
            return result
        self.warn("%s: the guest's clock ran at %.3f of the host's speed; times are the host's" % (
            machine.name, guest / host))
        return {row: value * host / guest for row, value in result.items()}


class Program(Group):
    """compute or kernel of bench/guest as a process: a row's value is its whole time, or that of one
    operation."""

    def __init__(self, program, bits, title, rows):
        super().__init__("%s%d" % (program, bits), title, rows)
        self.program, self.bits = program, bits

    def run(self, machine, wanted):
        words = ["%s%d" % (self.program, self.bits), *self.arguments(wanted)]
        lines = machine.run_program(words, self.bits)
        result = self.values(lines, machine, wanted)
        if machine.cpu_time:
            return {line.name: line.host_ns for line in lines if line.name in result}
        return self.host_time(lines, result, machine, self.guest_ns)

    def guest_ns(self, line):
        if self.program == "compute":
            return float(line.fields[0])
        # Of a ring of processes the preparations are not in the guest's time.
        return None if "switch" in line.name else float(line.fields[0]) * float(line.fields[1])


class Real(Group):
    # The others work for a fixed time.
    TIMED = ("gzip", "xz", "python", "gcc", "sqlite")

    def run(self, machine, wanted):
        lines = machine.run_userland(["real.sh", *self.arguments(wanted)])
        result = self.values(lines, machine, wanted)
        return self.host_time(lines, result, machine, lambda line: float(line.fields[0])
                              if line.name in self.TIMED else None)


class Nano(Group):
    machines = ("ringer", "qemu")

    def run(self, machine, wanted):
        return self.values(machine.run_bare("nano", self.arguments(wanted)), machine, wanted)


class Boot(Group):
    """From the start of the program to the prompt; then what the idle guest takes."""
    machines = ("ringer", "qemu")
    GUESTS = {"amd64": ("vmlinuz-amd64", "initrd-amd64.gz"), "i386": ("vmlinuz-686", "initrd.gz")}
    SETTLE_SECONDS, IDLE_SECONDS = 5, 10

    def __init__(self, name, title):
        kinds = {"prompt": NS, "memory_rss": BYTES, "memory_pss": BYTES, "idle": PERCENT}
        super().__init__(name, title, ["%s_%s" % (kind, guest) for guest in self.GUESTS
                                       for kind in kinds])
        self.units = {"%s_%s" % (kind, guest): unit for guest in self.GUESTS
                      for kind, unit in kinds.items()}

    def run(self, machine, wanted):
        return self.parts(self.GUESTS, wanted, lambda guest: self.measure(machine, wanted, guest))

    def measure(self, machine, wanted, guest):
        began = time.monotonic_ns()
        with machine.start_prompt(*self.GUESTS[guest]) as child:
            seen = b""
            for data, now in child.reader.chunks():
                seen = (seen + data)[-100000:]
                if b"/ # " in seen:
                    break
            else:
                raise Failed("%s ended before the prompt: %s" % (machine.name, child.error_text()))
            result = {"prompt": now - began}
            if [row for row in wanted if row.endswith(guest)] == ["prompt_" + guest]:
                return result
            pid = child.process.pid
            time.sleep(self.SETTLE_SECONDS)
            before, at = cpu_seconds(pid), time.monotonic()
            time.sleep(self.IDLE_SECONDS)
            result["idle"] = 100 * (cpu_seconds(pid) - before) / (time.monotonic() - at)
            result["memory_rss"] = memory(pid, "Rss")
            result["memory_pss"] = memory(pid, "Pss")
            return result


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid, kind):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return 1024 * int(re.search(r"^%s: *(\d+) kB" % kind, file.read(), re.M).group(1))


class Translator(Group):
    """What `ringer bench` says of a boot to user space and off again, and of the decoder."""
    machines = ("ringer",)
    UNITS = {"translated_insns": RATE, "translating": PERCENT, "host_bytes_per_guest_byte": RATIO,
             "insns_per_block": RATIO, "lookup_hits": PERCENT, "chains_per_block": RATIO,
             "invalidated": PERCENT, "decoded_insns": RATE}

    def __init__(self, name, title):
        super().__init__(name, title, ["%s_%d" % (row, bits) for bits in (64, 32)
                                       for row in self.UNITS])
        self.units = {"%s_%d" % (row, bits): unit for bits in (64, 32)
                      for row, unit in self.UNITS.items()}
        self.counters = []  # of each run, whole

    def run(self, machine, wanted):
        return self.parts((64, 32), wanted, lambda bits: self.measure(machine, bits))

    def measure(self, machine, bits):
        said = machine.measure_boot(bits, "true", "compute%d" % bits)
        self.counters.append({"bits": bits, "counters": said["counters"][0]})
        found = {row["row"]: row["median"] for row in said["rows"]}
        return {row: found[row] for row in self.UNITS if row in found}


COMPUTE_ROWS = ["sieve", "quicksort", "recursion", "byte_hash", "sha256", "lz", "matrix", "nbody",
                "chase_4m", "chase_16k", "indirect_1", "indirect_4", "indirect_64", "bytecode",
                "strings", "jit"]
KERNEL_ROWS = ["null_syscall", "pipe_round_trip", "fork_wait", "fork_exec", "first_touch",
               "map_unmap", "file_write_read", "switch_2", "switch_16", "switch_64",
               "signal_delivery"]


def all_groups():
    from disk import Disk  # which is made of what is above

    return [
        Program("compute", 64, "computing, 64-bit", COMPUTE_ROWS),
        Program("compute", 32, "computing, 32-bit", COMPUTE_ROWS),
        Real("real", "programs of a Debian user land",
             ["gzip", "xz", "openssl_aes", "openssl_sha", "openssl_rsa", "python", "gcc", "sqlite"]),
        Program("kernel", 64, "what a kernel is asked for, 64-bit; one operation", KERNEL_ROWS),
        Program("kernel", 32, "what a kernel is asked for, 32-bit; one operation", KERNEL_ROWS),
        Boot("boot", "start of the program to the guest's prompt; memory and CPU time of the idle "
                     "guest"),
        Disk("disk", "the disk: one request of 1 MiB in sequence, of 4 KiB at random, unbuffered; "
                     "power-on to GRUB's prompt, to a login"),
        Nano("nano", "single operations of a system, on the bare machine",
             ["syscall", "in", "cr8wr", "callret", "pgfault", "divzero", "ptemod", "ptemod_use",
              "code_first", "code_second", "code_third"],
             CYCLES),
        Translator("translator", "the translator itself, over a boot to user space"),
    ]
