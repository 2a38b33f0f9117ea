"""Redis' protocol as an attacker speaks it: bytes as they are, replies as values, pushes apart."""
import re
import socket
import time


class Err(str):
    """An error reply."""


class Closed(Exception):
    """The other side ended the connection."""


class Quiet(Exception):
    """Nothing came in time."""


def split(line):
    """The words of a line as redis-cli splits them: blanks, "…" with escapes, '…' with \\' only."""
    words, at, data = [], 0, line.encode("utf-8", "surrogateescape")
    escapes = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
    while at < len(data):
        if data[at:at + 1].isspace():
            at += 1
            continue
        word, quote = bytearray(), None
        while at < len(data):
            c = data[at]
            if quote is None and chr(c).isspace():
                break
            if quote is None and c in b"\"'":
                quote = c
            elif quote == ord('"') and c == ord("\\") and at + 1 < len(data):
                if m := re.match(rb"\\x([0-9a-fA-F]{2})", data[at:at + 4]):
                    word.append(int(m[1], 16))
                    at += 3
                else:
                    word.append(escapes.get(data[at + 1], data[at + 1]))
                    at += 1
            elif quote == ord("'") and data[at:at + 2] == b"\\'":
                word.append(c := data[at + 1])
                at += 1
            elif quote is not None and c == quote:
                quote = None
            else:
                word.append(c)
            at += 1
        words.append(bytes(word))
    return words


def encode(words):
    """A command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Client:
    """One connection. `heard` is every byte that came, `said` every byte that went."""

    def __init__(self, port, user=None, timeout=3.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.heard, self.said, self.pushes = bytearray(), bytearray(), bytearray(), []
        self.timeout, self.keep = timeout, True
        self.accepted = None
        if user is not None:
            self.accepted = self.ask([b"AUTH", user, b"x"])
            self.heard.clear()
            self.said.clear()

    def close(self):
        self.socket.close()

    def send(self, data):
        if self.keep:
            self.said += data[:1 << 20]
        self.socket.settimeout(30)
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def fill(self, until):
        left = until - time.monotonic()
        if left <= 0:
            raise Quiet()
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError as error:
            raise Quiet() from error
        except OSError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end")
        self.buffer += data
        if self.keep:
            self.heard += data

    def line(self, until):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self.fill(until)
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    def bytes(self, count, until):
        while len(self.buffer) < count + 2:
            self.fill(until)
        data = bytes(self.buffer[:count])
        del self.buffer[:count + 2]
        return data

    def value(self, until):
        line = self.line(until)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Err(rest.decode("latin-1"))
        if kind in b":(":
            return int(rest)
        if kind == b",":
            return float(rest)
        if kind == b"#":
            return rest == b"t"
        if kind == b"_":
            return None
        if kind in b"$=!":
            if rest == b"-1":
                return None
            data = self.bytes(int(rest), until)
            return Err(data.decode("latin-1")) if kind == b"!" else data
        if kind in b"*~>":
            items = None if rest == b"-1" else [self.value(until) for _ in range(int(rest))]
            return ("push", items) if kind == b">" else items
        if kind in b"%|":
            return {repr(self.value(until)): self.value(until) for _ in range(int(rest))}
        raise Closed(f"not a reply: {line!r}")

    def reply(self, timeout=None):
        """The next reply that is no push."""
        until = time.monotonic() + (timeout or self.timeout)
        while True:
            value = self.value(until)
            if isinstance(value, tuple):
                self.pushes.append(value[1])
                kind = value[1][0] if value[1] else b""
                if kind.endswith(b"subscribe"):
                    return value[1]
                continue
            return value

    def ask(self, words, timeout=None):
        self.send(encode(words))
        return self.reply(timeout)

    def listen(self, seconds):
        """All that comes unasked."""
        until, found = time.monotonic() + seconds, []
        try:
            while True:
                found.append(self.value(until))
        except (Quiet, Closed):
            return found + self.pushes

    def drain(self, seconds):
        """Bytes up to silence or the end; whether it ended."""
        try:
            while True:
                self.fill(time.monotonic() + seconds)
        except Quiet:
            return bytes(self.heard), False
        except Closed:
            return bytes(self.heard), True
