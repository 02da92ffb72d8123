#!/usr/bin/env python3
"""What is on a guest's VGA text screen, and keys for it, through the monitor.

  vga.py SOCKET screen        print the screen's lines
  vga.py SOCKET type TEXT     press the keys of TEXT; \\n is Enter, ^X is Control-x
  vga.py SOCKET COMMAND...    any other monitor command; prints its answer
"""
import re
import socket
import sys

PROMPT = b"(qemu) "
NAMES = {
    " ": "spc", "\n": "ret", "-": "minus", "=": "equal", "[": "bracket_left",
    "]": "bracket_right", ";": "semicolon", "'": "apostrophe", "`": "grave_accent",
    "\\": "backslash", ",": "comma", ".": "dot", "/": "slash",
}
SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./"))


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.read_answer()

    def read_answer(self):
        data = b""
        while not data.endswith(PROMPT):
            piece = self.socket.recv(65536)
            if not piece:
                break
            data += piece
        return data.decode("utf-8", "replace")

    def run(self, command):
        self.socket.sendall(command.encode() + b"\n")
        return self.read_answer()


def key_name(char):
    if char in SHIFTED:
        return "shift-" + key_name(SHIFTED[char])
    if char.isupper():
        return "shift-" + char.lower()
    return NAMES.get(char, char)


def screen(monitor):
    lines = monitor.run("info screen").replace("\r", "").split("\n")
    return "\n".join(lines[1:-1])  # without the echoed command and the prompt


def main():
    monitor = Monitor(sys.argv[1])
    if sys.argv[2] == "screen":
        print(screen(monitor))
    elif sys.argv[2] == "type":
        for control, char in re.findall(r"(\^?)(.)", sys.argv[3].replace("\\n", "\n"), re.S):
            monitor.run("sendkey %s%s 40" % ("ctrl-" if control else "", key_name(char)))
    else:
        print(monitor.run(" ".join(sys.argv[2:])))


main()
