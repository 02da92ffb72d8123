"""Pure Python: recursion, objects, dictionaries, strings, floats, big numbers.  Prints results."""


def queens(n, row=0, columns=0, left=0, right=0):
    if row == n:
        return 1
    found = 0
    free = ~(columns | left | right) & ((1 << n) - 1)
    while free:
        bit = free & -free
        free ^= bit
        found += queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return found


def words(count):
    seed, seen = 1, {}
    for _ in range(count):
        seed = seed * 16807 % 2147483647
        key = "w%d" % (seed % 1000)
        seen[key] = seen.get(key, 0) + len(key)
    return sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:3]


class Body:
    def __init__(self, x, v):
        self.x, self.v = x, v

    def step(self, others, dt):
        for other in others:
            if other is not self:
                d = other.x - self.x
                self.v += dt * d / (abs(d) ** 3 + 0.1)
        self.x += self.v * dt


def bodies(steps):
    all_bodies = [Body(float(i * i), 0.5 - i) for i in range(5)]
    for _ in range(steps):
        for body in all_bodies:
            body.step(all_bodies, 0.001)
    return "%.9f" % sum(body.x for body in all_bodies)


def sieve(limit):
    flags = [True] * limit
    for i in range(2, int(limit ** 0.5) + 1):
        if flags[i]:
            for j in range(i * i, limit, i):
                flags[j] = False
    return sum(flags) - 2


def text(lines):
    parts = []
    for i in range(lines):
        parts.append(("line %d of the text" % i).title().replace("Line", "Row").split())
    return len("\n".join(" ".join(part) for part in parts))


print(queens(9), words(400000), bodies(20000), sieve(1000000), text(150000))
print(pow(3, 20011) % 10 ** 9, 7 ** 60000 % 10 ** 9)
