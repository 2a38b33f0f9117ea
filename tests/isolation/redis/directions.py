"""Attacks that are described rather than written out: each line as the bytes that it means, scaled by SCALE."""
import os
import re
import struct

from resp import encode, split

SCALE = float(os.environ.get("ISOLATION_SCALE", "0.1"))


def many(count):
    """So many of what says a million."""
    return max(10, int(count * SCALE))


def size(text):
    """`100 MiB` in bytes, scaled where it is large."""
    number, unit = re.match(r"(\d+) (KiB|MiB|GiB)", text).groups()
    value = int(number) << {"KiB": 10, "MiB": 20, "GiB": 30}[unit]
    return value if value <= 1 << 20 else max(1 << 20, int(value * SCALE))


def chunked(count, size, make):
    """`count` things in calls of `size`."""
    for start in range(0, count, size):
        yield make(start, min(count, start + size))


CRC = []
for _n in range(256):
    _c = _n
    for _ in range(8):
        _c = (_c >> 1) ^ 0x95AC9329AC4BC9B5 if _c & 1 else _c >> 1
    CRC.append(_c)


def sealed(body):
    """A DUMP payload with a right checksum, so that only its content is wrong."""
    crc = 0
    body = body + struct.pack("<H", 10)
    for byte in body:
        crc = CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return body + struct.pack("<Q", crc)


def corrupt(private):
    """Payloads with one byte changed each, of every kind of value; and lengths that lie."""
    for command in ("RPUSH x a b 3 4444", "HSET x f v g w", "ZADD x 1 a 2 b", "SADD x 1 2 3", "XADD x 1-1 f v g w", "SET x hello", "SADD x a b c"):
        private.ask([b"DEL", b"x"])
        private.ask(split(command))
        body = private.ask([b"DUMP", b"x"])[:-10]
        for at in range(0, min(len(body), 60)):
            for byte in (0x00, 0x7F, 0xFE, 0xFF):
                yield sealed(body[:at] + bytes([byte]) + body[at + 1:])
    yield sealed(b"\x00\x81" + struct.pack(">Q", 10 << 30))
    yield sealed(b"\x07" + b"\x81" + struct.pack(">Q", 1 << 40))
    private.ask([b"DEL", b"x"])


def restores(private, name=b"k"):
    """The same as commands; few at SCALE."""
    payloads = list(corrupt(private))
    step = max(1, int(0.3 / SCALE))
    return [[b"RESTORE", name + b"%d" % n, b"0", payload, b"REPLACE"] for n, payload in enumerate(payloads[::step])]


def pipeline(line, private):
    """The commands that a line stands for; None: it is one command as it is written."""
    if m := re.match(r"SADD (\S+) 1\.\.1e6$", line):
        return list(chunked(many(1e6), 10000, lambda a, b: [b"SADD", m[1].encode()] + [b"%d" % n for n in range(a, b)]))
    if m := re.match(r"SET x1\.\.x1e6 v PX 1$", line):
        return [[b"SET", b"x%d" % n, b"v", b"PX", b"1"] for n in range(many(1e6))]
    if line == "pipeline 1e6 x PING":
        return [[b"PING"]] * many(1e6)
    if line == "MULTI + 1e6 x SET + EXEC":
        return [[b"MULTI"]] + [[b"SET", b"k", b"v"]] * many(1e6) + [[b"EXEC"]]
    if m := re.match(r"(MGET x|DEL) \(1e6 args\)$", line):
        return [[m[1].split()[0].encode()] + [b"x%d" % n for n in range(many(1e6))]]
    if line.startswith('EVAL "return <n>" 0 for n'):
        return [[b"EVAL", b"return %d" % n, b"0"] for n in range(many(1e6))]
    if m := re.match(r"SCRIPT LOAD <(.*?)> x (\d+)$", line):
        return [[b"SCRIPT", b"LOAD", b"return '%d%s'" % (n, b"s" * (1 << 20))] for n in range(many(int(m[2])))]
    if line.startswith("RESTORE k 0 <corrupt"):
        return restores(private)
    if line.startswith("RESTORE k 0 <10 GiB"):
        return [[b"RESTORE", b"k", b"0", sealed(b"\x00\x81" + struct.pack(">Q", 10 << 30)), b"REPLACE"]]
    if "<own DUMP>" in line:
        private.ask([b"SET", b"x", b"v"])
        words = split(line.replace("<own DUMP>", "DUMPED"))
        return [[private.ask([b"DUMP", b"x"]) if w == b"DUMPED" else w for w in words]]
    if line.startswith("LCS bigx bigy"):
        return [[b"SET", b"bigx", b"ab" * 5000], [b"SET", b"bigy", b"ba" * 5000], split(line)]
    if m := re.search(r"<(\d+ [KMG]iB)>$", line):
        return [split(line[:m.start()]) + [b"v" * size(m[1])]]
    if m := re.match(r"SET <key of (\d+) bytes> v$", line):
        return [[b"SET", b"k" * int(m[1]), b"v"]]
    if "lib ..." in line:
        return [split(line.split(' "', 1)[0]) + [b"#!lua name=lib\nredis.register_function('f', function() return 'SECRET-B' end)"]]
    if "<payload>" in line:
        return [split(line.replace("<payload>", "\\x00"))]
    if "<3 s loop>" in line:
        return [[b"EVAL", b"local s = redis.call('TIME')[1] while redis.call('TIME')[1] - s < 3 do end return 'done'", b"0"]]
    return None


def raw(text):
    """The bytes of a raw line; whether the client then ends its half."""
    fin = text.endswith("<FIN>")
    text = text.removesuffix("<FIN>")
    text = re.sub(r'<(\d+) x "(.)">', lambda m: m[2] * int(m[1]), text)
    return text.encode().replace(b"\\r", b"\r").replace(b"\\n", b"\n"), fin


def whole(commands):
    """All commands as one run of bytes."""
    return b"".join(encode(words) for words in commands)
