"""Where a program can run: natively, in Ringer, in QEMU.

A guest program prints a line a row: its name as the row starts, then its numbers.  Whoever starts
it reads these lines as they come and notes the time of each, so that a guest's clock is checked
against the host's: `Line.host_ns` is the time from the name to the end of the line.
"""
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUEST = os.path.join(TOP, "bench", "guest")
PROGRAMS = os.path.join(TOP, "build", "bench", "programs")
LIMIT_SECONDS = 15 * 60  # for one machine and one group


class Failed(Exception):
    """A run that did not end as it should; the text says why."""


class Line:
    def __init__(self, text, host_ns):
        words = text.split()
        self.name, self.fields, self.host_ns = words[0], words[1:], host_ns


class Reader:
    """Lines out of a file descriptor, with the time from the first byte to the last."""

    def __init__(self, fd, deadline):
        self.fd, self.deadline = fd, deadline
        self.clock_ns = time.monotonic_ns

    def chunks(self):
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Failed("took too long")
            data = os.read(self.fd, 4096)
            if not data:
                return
            yield data, self.clock_ns()

    def lines(self):
        text, began = b"", 0
        for data, now in self.chunks():
            for byte in data:
                if byte in b"\r\n":
                    if text.strip():
                        yield Line(text.decode("ascii", "replace"), now - began)
                    text = b""
                else:
                    if not text:
                        began = now
                    text += bytes([byte])


def cpu_ns(pid):
    """What all threads of the process have run so far; 0 when it has ended."""
    total = 0
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
                total += int(file.read().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


class Child:
    """A process with its output on a pipe; killed, and waited for, when the `with` ends."""

    def __init__(self, command, cpu_time=False, limit_seconds=LIMIT_SECONDS):
        """cpu_time: lines are timed by the CPU time of the process, not the time that passes."""
        self.command = command
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors)
        self.reader = Reader(self.process.stdout.fileno(), time.monotonic() + limit_seconds)
        if cpu_time:
            self.reader.clock_ns = lambda: cpu_ns(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()

    def wait(self, wanted):
        status = self.process.wait(60)
        if status != wanted:
            raise Failed("%s ended with status %d: %s" % (self.command[0], status, self.error_text()[-400:]))

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace").strip()


def output(command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def guest_files(*names):
    """The directory that loader/guest/get.sh keeps them in."""
    script = os.path.join(TOP, "loader", "guest", "get.sh")
    return output(["sh", script, *names]).strip()


class Native:
    name = "native"

    def __init__(self, cpu_time=False):
        self.cpu_time = cpu_time

    def run_program(self, words, bits):
        del bits
        with Child([os.path.join(PROGRAMS, words[0]), *words[1:]], self.cpu_time) as child:
            lines = list(child.reader.lines())
            child.wait(0)
        return lines

    def run_userland(self, words):
        """words: a script of bench/guest, in the user land's tree, /tmp in memory as in a guest."""
        tree = os.path.join(guest_files("userland.cpio"), "userland")
        enter = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-r", "-m"]
        script = """set -e
            mount -t tmpfs tmpfs "$0/tmp"
            cp -r "$1" "$0/tmp/bench"
            mount --rbind /proc "$0/proc"
            mount --rbind /dev "$0/dev"
            tree=$0
            shift
            cd /
            exec chroot "$tree" /bin/bash "$@" """
        with Child([*enter, "sh", "-c", script, tree, GUEST, "/tmp/bench/" + words[0],
                    *words[1:]]) as child:
            lines = list(child.reader.lines())
            child.wait(0)
        return lines


class Emulator:
    """Ringer or QEMU: the same options but for -accel."""

    def __init__(self, name, program, accel, options=(), cpu_time=False):
        self.cpu_time, self.limit_seconds = cpu_time, LIMIT_SECONDS
        self.name, self.program, self.accel, self.options = name, program, accel, list(options)

    def command(self, *options, subcommand=()):
        return [self.program, *subcommand, "-accel", self.accel, "-cpu", os.environ.get("BENCH_CPU", "max"),
                *options, "-nodefaults", "-display", "none", *self.options]

    def run_linux(self, kernel, initrds, memory, command, extra_files, init=None, subcommand=()):
        """Boots, runs the shell text `command`; the lines that it printed.  extra_files: host path ->
        path in the guest."""
        with tempfile.TemporaryDirectory(prefix="ringer-bench.") as work:
            initrd = os.path.join(work, "initrd")
            root = os.path.join(work, "root")
            for source, target in extra_files.items():
                os.makedirs(os.path.join(root, os.path.dirname(target)), exist_ok=True)
                shutil.copy(source, os.path.join(root, target))
            if init:
                shutil.copy(init, os.path.join(root, "init"))
                os.chmod(os.path.join(root, "init"), 0o755)
            where = "tmp/bench/command" if init else "command"
            os.makedirs(os.path.join(root, os.path.dirname(where)), exist_ok=True)
            with open(os.path.join(root, where), "w", encoding="ascii") as file:
                file.write(command + "\n")
            with open(initrd, "wb") as file:
                for part in initrds:
                    with open(part, "rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                # Compressed, because such an archive may start anywhere.
                subprocess.run(["sh", "-c", "find . | cpio -o -H newc -R 0:0 --quiet | gzip -1n"],
                               cwd=root, stdout=file, check=True)

            paths = {name: os.path.join(work, name) for name in ("console", "errors", "status")}
            with Child(self.command(
                    "-m", memory, "-kernel", kernel, "-initrd", initrd,
                    "-append", "console=ttyS0 quiet panic=-1", "-no-reboot",
                    "-serial", "file:" + paths["console"], "-serial", "stdio",
                    "-serial", "file:" + paths["errors"], "-serial", "file:" + paths["status"],
                    subcommand=subcommand), self.cpu_time, self.limit_seconds) as child:
                lines = list(child.reader.lines())
                child.wait(0)
            texts = {}
            for name, path in paths.items():
                with open(path, "rb") as file:
                    texts[name] = file.read().decode("ascii", "replace").strip()
            if texts["status"] != "0":
                raise Failed("the guest's command ended with status %r: %s" % (
                    texts["status"], texts["errors"] or texts["console"][-2000:]))
            return lines

    def run_busybox(self, bits, command, extra_files, subcommand=()):
        """`command` in the quickstart's guest."""
        kernel, initrd = ("vmlinuz-amd64", "initrd-amd64.gz") if bits == 64 else (
            "vmlinuz-686", "initrd.gz")
        files = guest_files(kernel, initrd)
        return self.run_linux(os.path.join(files, kernel), [os.path.join(files, initrd)], "512",
                              command, extra_files, subcommand=subcommand)

    def run_program(self, words, bits):
        """words: a program of bench/guest and its arguments, as a process of Debian's kernel."""
        return self.run_busybox(bits, "/" + " ".join(words),
                                {os.path.join(PROGRAMS, words[0]): words[0]})

    def measure_boot(self, bits, command, text):
        """What `ringer bench` says of a boot with `command` in it.  text: a program of bench/guest,
        for the decoder."""
        with tempfile.TemporaryDirectory(prefix="ringer-bench.") as work:
            path = os.path.join(work, "json")
            self.run_busybox(bits, command, {}, ["bench", "-runs", "1", "-json", path,
                                                 "-text", os.path.join(PROGRAMS, text)])
            with open(path, encoding="ascii") as file:
                return json.load(file)

    def run_userland(self, words):
        files = guest_files("vmlinuz-amd64", "userland.cpio")
        extra = {os.path.join(GUEST, name): "tmp/bench/" + name for name in os.listdir(GUEST)}
        return self.run_linux(os.path.join(files, "vmlinuz-amd64"),
                              [os.path.join(files, "userland.cpio")], "2G",
                              "bash ./" + " ".join(words), extra,
                              init=os.path.join(GUEST, "init"))

    def run_bare(self, image, words):
        """A multiboot kernel that prints its rows on the first serial port and ends through
        isa-debug-exit."""
        with Child(self.command("-m", "64", "-kernel", os.path.join(PROGRAMS, image),
                                "-append", " ".join(words), "-serial", "stdio",
                                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
                   limit_seconds=self.limit_seconds) as child:
            lines = list(child.reader.lines())
            child.wait(1)
        return lines

    def start_prompt(self, kernel, initrd):
        """The quickstart's guest, its console on the child's output."""
        files = guest_files(kernel, initrd)
        return Child(self.command(
            "-m", "512", "-kernel", os.path.join(files, kernel),
            "-initrd", os.path.join(files, initrd), "-append", "console=ttyS0",
            "-serial", "stdio"), limit_seconds=self.limit_seconds)
