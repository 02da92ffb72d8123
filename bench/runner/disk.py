"""Disk and media: throughput of the IDE disk, power-on to a boot loader's prompt and to a login.

The same image for both emulators: raw, in the host's page cache, cache=writeback.  The guest is a
kernel of Debian's with one program, bench/guest/disk.c, and O_DIRECT.
"""
import os
import re
import subprocess
import tempfile
import time

from groups import NS, Group
from machines import PROGRAMS, Child, Failed, guest_files

RESCUE = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
MODULES = r"^(crct10dif|crc-t10dif|crc64|t10-pi|scsi_|sd_mod|libata|ata_piix)"
IMAGE_BYTES = 256 << 20
POLL_SECONDS = 0.05
TEXT_SCREEN = "xp /1000xw 0xb8000\n"  # 80x25 characters with attributes, two in a word


class Disk(Group):
    machines = ("ringer", "qemu")
    THROUGHPUT = ["write_1m", "read_1m", "random_write_4k", "random_read_4k"]

    def __init__(self, name, title):
        super().__init__(name, title, [*self.THROUGHPUT, "grub_prompt", "login"], NS)

    def run(self, machine, wanted):
        result = {}
        parts = [(self.THROUGHPUT, self.throughput), (["grub_prompt"], self.grub_prompt),
                 (["login"], self.login)]
        for rows, measure in parts:
            if any(row in wanted for row in rows):
                try:
                    result.update(measure(machine))
                except (Failed, subprocess.SubprocessError, OSError) as error:
                    self.warn("%s: %s: %s" % (machine.name, rows[0], error))
        return {row: value for row, value in result.items() if row in wanted}

    def throughput(self, machine):
        modules = os.path.join(guest_files("modules-amd64"), "modules-amd64")
        with tempfile.TemporaryDirectory(prefix="ringer-bench.", dir="/var/tmp") as work:
            initrd, image = os.path.join(work, "initrd"), os.path.join(work, "image")
            make_initrd(modules, initrd)
            with open(image, "wb") as file:
                for _ in range(IMAGE_BYTES >> 20):
                    file.write(bytes(1 << 20))
            with Child(machine.command(
                    "-m", "256", "-kernel", os.path.join(modules, "vmlinuz"), "-initrd", initrd,
                    "-append", "console=ttyS0 quiet panic=-1", "-no-reboot", "-serial", "stdio",
                    "-drive", "file=%s,format=raw,cache=writeback" % image)) as child:
                lines = [line for line in child.reader.lines()
                         if line.name in self.THROUGHPUT or line.name == "BAD:"]
                child.wait(0)
        for line in lines:
            if line.name == "BAD:":
                raise Failed("the guest says: " + " ".join(line.fields))
        return self.values(lines, machine, self.THROUGHPUT)

    def grub_prompt(self, machine):
        """The rescue disc; its prompt is seen in the text screen's memory, through the monitor."""
        if not os.path.exists(RESCUE):
            raise Failed("no %s (package grub-rescue-pc)" % RESCUE)
        began = time.monotonic_ns()
        with Child(machine.command("-m", "128", "-vga", "std", "-cdrom", RESCUE, "-boot", "d",
                                   "-monitor", "stdio")) as child:
            seen = b""
            for data, now in child.reader.chunks():
                seen += data
                if not seen.endswith(b"(qemu) "):
                    continue
                if "grub>" in screen(seen):
                    return {"grub_prompt": now - began}
                seen = b""
                time.sleep(POLL_SECONDS)
                child.process.stdin.write(TEXT_SCREEN.encode())
                child.process.stdin.flush()
        raise Failed("%s ended before the prompt: %s" % (machine.name, child.error_text()))

    def login(self, machine):
        """The installed system; the image stays as it is."""
        image = os.path.join(guest_files("debian-amd64.img"), "debian-amd64.img")
        began = time.monotonic_ns()
        with Child(machine.command("-m", "512", "-serial", "stdio", "-drive",
                                   "file=%s,format=raw,snapshot=on" % image)) as child:
            seen = b""
            for data, now in child.reader.chunks():
                seen = (seen + data)[-1000:]
                if b"login: " in seen:
                    return {"login": now - began}
            raise Failed("%s ended before the login: %s" % (machine.name, child.error_text()))


def screen(dump):
    """The characters of the monitor's words, which have attributes in between."""
    words = re.findall(rb"0x([0-9a-f]{8})", dump)
    return "".join(chr(int(word, 16) >> shift & 0xFF) for word in words for shift in (0, 16))


def make_initrd(modules, initrd):
    """The program and the drivers that it loads, in the order of `order`."""
    with tempfile.TemporaryDirectory(prefix="ringer-bench.") as root:
        os.mkdir(os.path.join(root, "mod"))
        os.symlink(os.path.join(PROGRAMS, "disk"), os.path.join(root, "init"))
        with open(os.path.join(modules, "order"), encoding="ascii") as file:
            order = [name for name in file.read().split() if re.match(MODULES, name)]
        with open(os.path.join(root, "mod", "order"), "w", encoding="ascii") as file:
            file.write("\n".join(order) + "\n")
        for name in order:
            os.symlink(os.path.join(modules, name), os.path.join(root, "mod", name))
        with open(initrd, "wb") as file:
            subprocess.run(["sh", "-c", "find . | cpio -o -L -H newc -R 0:0 --quiet"], cwd=root,
                           stdout=file, check=True)
