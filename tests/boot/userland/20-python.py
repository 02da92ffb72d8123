"""Python: big integers, hashing, JSON, float formatting, regular expressions, sorting, threads."""
import decimal
import fractions
import hashlib
import json
import math
import os
import random
import re
import struct
import threading
import zlib

scale = int(os.environ["SCALE"])
rng = random.Random(20240229)


def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:24]


print("factorial", digest(math.factorial(400 * scale)))
print("power", pow(3, 10**30 + 7, 2**521 - 1))
a, b = 0, 1
for _ in range(3000 * scale):
    a, b = b, a + b
print("fibonacci", len(bin(a)), digest(a))

floats = [rng.uniform(-1e3, 1e3) * 10.0 ** rng.randint(-300, 300) for _ in range(2000 * scale)]
print("repr", digest(floats), [f"{x:.6g}" for x in floats[:4]])
print("round trip", all(float(repr(x)) == x for x in floats))
for name in "sin cos tan exp log1p sqrt atan cbrt erf gamma".split():
    total = math.fsum(getattr(math, name)(x / 97) for x in range(1, 300 * scale) if x < 9000)
    print(name, total.hex())
print("fsum", math.fsum(x for x in floats if abs(x) < 1e200).hex())
print("special", float("inf") - 1, math.nan, -0.0, 5e-324, 1e308 * 10, 0.1 + 0.2)

decimal.getcontext().prec = 200
print("decimal", decimal.Decimal(2).sqrt(), decimal.Decimal(1) / 7)
print("harmonic", digest(sum(fractions.Fraction(1, n) for n in range(1, 100 * scale))))

blob = rng.randbytes(50000 * scale)
for name in "md5 sha1 sha256 sha512 sha3_256 blake2b blake2s".split():
    print(name, hashlib.new(name, blob).hexdigest()[:32])
print("crc", zlib.crc32(blob), zlib.adler32(blob), len(zlib.compress(blob[:9999] * 7)))
print("pbkdf2", hashlib.pbkdf2_hmac("sha256", b"pass", b"salt", 500 * scale).hex())

document = [{"id": n, "x": rng.random(), "s": chr(0x400 + n % 64) * (n % 9), "l": [n] * (n % 5)}
            for n in range(500 * scale)]
text = json.dumps(document, sort_keys=True)
print("json", len(text), digest(json.loads(text)), json.loads(text) == document)

words = re.findall(r'"x": (\d\.\d+)(?:e-\d+)?', text)
print("regex", len(words), digest(words), re.sub(r"(\d)(\d)", r"\2\1", text[:80]))
print("backtracking", bool(re.match(r"(a+)+$", "a" * 18 + "b")))
items = [(rng.randint(0, 99), rng.random(), str(n)) for n in range(5000 * scale)]
print("sort", digest(sorted(items)), digest(sorted(items, key=lambda i: (-i[0], i[2]))))
print("struct", struct.pack("<dfhqB", math.pi, math.e, -2, 2**62, 255).hex())

totals = [0] * 4


def work(index):
    for n in range(4000 * scale):
        totals[index] += n * index


threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("threads", totals)


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


print("recursion", deep(900))
try:
    deep(10**6)
except RecursionError as error:
    print("raised", type(error).__name__)
child = os.fork()
if child == 0:
    os._exit(42)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
