#!/usr/bin/env python3
"""What a VT102 would show: reads a terminal's byte stream, prints its screen of 24 lines.

    screen.py < LOG         the screen as text; what is highlighted stands between { and }
    screen.py -r < LOG      only the highlighted pieces, one a line

Highlighted: in reverse video or, as dialogs in colour have it, on red.  Knows what a dialog program sends to a vt102: cursor movement, erasing, scrolling, attributes, the
line-drawing set.  Anything else is skipped whole, so that it cannot spill into the text.
"""
import re
import sys

ROWS, COLUMNS = 24, 80
LINES = dict(zip("jklmnqtuvwx", "+++++-++++|"))  # the line-drawing set's frames
TOKEN = re.compile(
    r"\x1b\[(?P<args>[?>=]?[0-9;]*)[ -/]*(?P<final>[@-~])"  # control sequence
    r"|\x1b[()*+](?P<set>.)"  # a character set put in place
    r"|\x1b\].*?(?:\x07|\x1b\\)"  # operating system command
    r"|\x1b(?P<escape>[^\[\]()*+])"
    r"|(?P<char>[^\x1b])",
    re.DOTALL,
)


class Screen:
    def __init__(self):
        self.sets = ["B", "B"]
        self.shifted = 0
        self.reverse = self.red = False
        self.saved = (0, 0)
        self.reset()

    def reset(self):
        self.row = self.column = 0
        self.top, self.bottom = 0, ROWS - 1
        self.cells = [self.blank() for _ in range(ROWS)]

    @staticmethod
    def blank():
        return [(" ", False)] * COLUMNS

    def move(self, row, column):
        self.row = min(max(row, 0), ROWS - 1)
        self.column = min(max(column, 0), COLUMNS - 1)

    def line_feed(self):
        if self.row == self.bottom:
            del self.cells[self.top]
            self.cells.insert(self.bottom, self.blank())
        else:
            self.move(self.row + 1, self.column)

    def reverse_line_feed(self):
        if self.row == self.top:
            del self.cells[self.bottom]
            self.cells.insert(self.top, self.blank())
        else:
            self.move(self.row - 1, self.column)

    def put(self, char):
        if self.column == COLUMNS:
            self.column = 0
            self.line_feed()
        if self.sets[self.shifted] == "0":
            char = LINES.get(char, char)
        self.cells[self.row][self.column] = (char, self.reverse or self.red)
        self.column += 1

    def erase(self, row, first, last):
        for column in range(first, last):
            self.cells[row][column] = (" ", False)

    def erase_display(self, how):
        column = min(self.column, COLUMNS - 1)
        if how == 0:
            self.erase(self.row, column, COLUMNS)
        elif how == 1:
            self.erase(self.row, 0, column + 1)
        for row in range(ROWS):
            if how == 2 or (how == 0 and row > self.row) or (how == 1 and row < self.row):
                self.erase(row, 0, COLUMNS)

    def erase_line(self, how):
        column = min(self.column, COLUMNS - 1)
        self.erase(self.row, column if how == 0 else 0, column + 1 if how == 1 else COLUMNS)

    def control(self, args, final):
        if args[:1] in ("?", ">", "="):
            return  # modes, which do not show
        numbers = [int(arg or 0) for arg in args.split(";")]
        first = numbers[0]
        count = max(first, 1)
        second = numbers[1] if len(numbers) > 1 else 0
        if final in "Hf":
            self.move(count - 1, max(second, 1) - 1)
        elif final == "A":
            self.move(self.row - count, self.column)
        elif final == "B":
            self.move(self.row + count, self.column)
        elif final == "C":
            self.move(self.row, self.column + count)
        elif final == "D":
            self.move(self.row, self.column - count)
        elif final == "G":
            self.move(self.row, count - 1)
        elif final == "d":
            self.move(count - 1, self.column)
        elif final == "J":
            self.erase_display(first)
        elif final == "K":
            self.erase_line(first)
        elif final == "r":
            self.top = min(count, ROWS) - 1
            self.bottom = min(second or ROWS, ROWS) - 1
            self.move(0, 0)
        elif final == "m":
            for number in numbers:
                if number in (0, 7, 27):
                    self.reverse = number == 7
                if number == 0 or 40 <= number <= 49:
                    self.red = number == 41

    def feed(self, text):
        for token in TOKEN.finditer(text):
            char = token["char"]
            if token["final"]:
                self.control(token["args"], token["final"])
            elif token["set"]:
                self.sets[token[0][1] != "("] = token["set"]
            elif token["escape"] == "c":
                self.reset()
            elif token["escape"] == "7":
                self.saved = (self.row, self.column)
            elif token["escape"] == "8":
                self.move(*self.saved)
            elif token["escape"] == "D":
                self.line_feed()
            elif token["escape"] == "M":
                self.reverse_line_feed()
            elif char is None:
                continue
            elif char == "\r":
                self.column = 0
            elif char in "\n\v\f":
                self.line_feed()
            elif char == "\b":
                self.move(self.row, self.column - 1)
            elif char == "\t":
                self.move(self.row, (self.column // 8 + 1) * 8)
            elif char in "\x0e\x0f":
                self.shifted = int(char == "\x0e")
            elif char >= " ":
                self.put(char)

    def lines(self):
        for cells in self.cells:
            line, reverse = "", False
            for char, reversed_here in cells + [("", False)]:
                if reversed_here != reverse:
                    line += "{" if reversed_here else "}"
                    reverse = reversed_here
                line += char
            yield line.rstrip()


def main():
    screen = Screen()
    screen.feed(sys.stdin.buffer.read().decode("utf-8", "replace"))
    lines = list(screen.lines())
    if sys.argv[1:] == ["-r"]:
        lines = [piece.strip() for line in lines for piece in re.findall(r"\{(.*?)\}", line)]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
