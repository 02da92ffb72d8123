"""The results as a picture: a panel a group, a line a row, on a logarithmic axis.

A full dot is Ringer, a hollow one QEMU.  1 is the native time of the row, or QEMU's where a row
cannot run natively.  SVG is written here; rsvg-convert makes the PNG of it.
"""
import math
import shutil
import subprocess

WIDTH, LEFT, RIGHT = 900, 170, 60
ROW_HEIGHT, TITLE_HEIGHT, AXIS_HEIGHT, MARGIN = 18, 34, 34, 12
RINGER, QEMU, GREY, INK = "#0b6e4f", "#b3541e", "#d8d8d8", "#222222"


def points(row):
    """(Ringer, QEMU or None) on the axis; None when there is nothing to show."""
    if row.to_native:
        return row.to_native, row.qemu_to_native
    if row.times_qemu:
        return 1 / row.times_qemu, None
    return None


class Axis:
    def __init__(self, values):
        self.low = min(0.0, math.floor(math.log10(min(values)) * 2) / 2)
        self.high = max(self.low + 1, math.ceil(math.log10(max(values)) * 2) / 2)

    def x(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for digit in (1, 2, 5):
                value = digit * 10.0 ** power
                if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9:
                    yield value


class Picture:
    def __init__(self):
        self.parts, self.y = [], MARGIN

    def text(self, x, y, text, anchor="start", size=12, weight="normal", colour=INK):
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append('<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" '
                          'font-weight="%s" fill="%s">%s</text>' % (x, y, anchor, size, weight,
                                                                    colour, text))

    def line(self, x1, y1, x2, y2, colour, width=1.0):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" '
                          'stroke-width="%.1f"/>' % (x1, y1, x2, y2, colour, width))

    def dot(self, x, y, colour, full):
        self.parts.append('<circle cx="%.1f" cy="%.1f" r="4.5" stroke="%s" stroke-width="1.8" '
                          'fill="%s"/>' % (x, y, colour, colour if full else "white"))

    def panel(self, title, rows, reference):
        placed = [(row, points(row)) for row in rows]
        values = [value for _, pair in placed for value in pair if value]
        axis = Axis(values + [1.0])
        self.text(MARGIN, self.y + 16, title, size=14, weight="bold")
        self.text(WIDTH - RIGHT, self.y + 16, "1 = %s; left is faster" % reference, "end",
                  colour="#555555")
        top = self.y + TITLE_HEIGHT - 8
        bottom = top + ROW_HEIGHT * len(placed)
        for value in axis.ticks():
            self.line(axis.x(value), top, axis.x(value), bottom, GREY, 0.6)
            self.text(axis.x(value), bottom + 14, "%g" % value, "middle", 10)
        self.line(axis.x(1), top, axis.x(1), bottom, INK, 1.4)
        for i, (row, (ringer, qemu)) in enumerate(placed):
            y = top + ROW_HEIGHT * (i + 0.5)
            self.text(LEFT - 10, y + 4, row.name, "end")
            ends = [axis.x(value) for value in (1, ringer, qemu) if value]
            self.line(min(ends), y, max(ends), y, GREY, 2)
            if qemu:
                self.dot(axis.x(qemu), y, QEMU, False)
            self.dot(axis.x(ringer), y, RINGER, True)
        self.y = bottom + AXIS_HEIGHT

    def svg(self):
        return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                'viewBox="0 0 %d %d" font-family="DejaVu Sans, sans-serif">\n'
                '<rect width="100%%" height="100%%" fill="white"/>\n%s\n</svg>\n' % (
                    WIDTH, self.y, WIDTH, self.y, "\n".join(self.parts)))


def write(svg_path, png_path, heading, groups, rows):
    """Both files; returns a warning, or None."""
    picture = Picture()
    picture.text(MARGIN, MARGIN + 8, heading.strip(), size=11)
    picture.y += 16
    picture.dot(MARGIN + 5, picture.y + 8, RINGER, True)
    picture.text(MARGIN + 15, picture.y + 12, "Ringer")
    picture.dot(MARGIN + 85, picture.y + 8, QEMU, False)
    picture.text(MARGIN + 95, picture.y + 12, "QEMU TCG")
    picture.y += 26
    for group in groups:
        mine = [row for row in rows if row.group is group and points(row)]
        for reference, native in (("native", True), ("QEMU TCG", False)):
            part = [row for row in mine if bool(row.to_native) == native]
            if part:
                picture.panel("%s: %s" % (group.name, group.title), part, reference)
    with open(svg_path, "w", encoding="utf-8") as file:
        file.write(picture.svg())
    if not shutil.which("rsvg-convert"):
        return "no PNG: rsvg-convert (package librsvg2-bin) is not here"
    if subprocess.run(["rsvg-convert", "-o", png_path, svg_path], check=False).returncode:
        return "no PNG: rsvg-convert failed"
    return None
