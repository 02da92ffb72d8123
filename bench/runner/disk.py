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

GRUB = "/usr/lib/grub/i386-pc"
MODULES = r"^(crct10dif|crc-t10dif|crc64|t10-pi|scsi_|sd_mod|libata|ata_piix)"
IMAGE_BYTES = 256 << 20


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
        """A disk with GRUB and nothing else, its terminal on the serial port."""
        with tempfile.TemporaryDirectory(prefix="ringer-bench.") as work:
            image = os.path.join(work, "image")
            make_grub_disk(work, image)
            return {"grub_prompt": self.until(machine, b"grub>", "-m", "128", "-drive",
                                              "file=%s,format=raw" % image)}

    def login(self, machine):
        """The installed system; the image stays as it is."""
        image = os.path.join(guest_files("debian-amd64.img"), "debian-amd64.img")
        return {"login": self.until(machine, b"login: ", "-m", "512", "-drive",
                                    "file=%s,format=raw,snapshot=on" % image)}

    def until(self, machine, text, *options):
        """Nanoseconds from the start of the program until the serial port has said it."""
        began = time.monotonic_ns()
        with Child(machine.command("-vga", "std", "-serial", "stdio", *options)) as child:
            seen = b""
            for data, now in child.reader.chunks():
                seen = (seen + data)[-1000:]
                if text in seen:
                    return now - began
            raise Failed("%s ended before %r: %s" % (machine.name, text, child.error_text()))


def make_grub_disk(work, image):
    """Boot sector and core image, without a file system: `normal` stays at its prompt."""
    early, core = os.path.join(work, "early"), os.path.join(work, "core")
    with open(early, "w", encoding="ascii") as file:
        file.write("serial\nterminal_output serial\nterminal_input serial\nnormal\n")
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "(hd0)/", "-c", early, "-o", core,
                    "biosdisk", "normal", "serial", "terminal"], check=True)
    with open(os.path.join(GRUB, "boot.img"), "rb") as boot, open(core, "rb") as rest:
        data = boot.read() + rest.read()
    with open(image, "wb") as file:
        file.write(data + bytes((4 << 20) - len(data)))


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
