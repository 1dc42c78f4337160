"""What really reaches a server: the commands that MONITOR reports between two moments."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.server import Server

SECONDS = 30.0
SETTING_UP = {"HELLO", "AUTH", "SELECT", "CLUSTER", "COMMAND", "READONLY"}
CLIENT_SETTING_UP = {"SETINFO", "SETNAME", "MAINT_NOTIFICATIONS"}

_LINE = re.compile(rb"^\+(?P<at>\d+\.\d+) \[(?P<database>\d+) (?P<source>[^\]]*)\] (?P<words>.*)\r\n$", re.DOTALL)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class Command(NamedTuple):
    """One command as the server got it; bytes that are no UTF-8 are surrogate escapes in `args`."""

    name: str
    args: tuple[str, ...]
    source: str
    at: float  # seconds since the epoch

    @property
    def words(self) -> tuple[str, ...]:
        """The name and the arguments."""
        return (self.name, *self.args)

    @property
    def sets_up_a_connection(self) -> bool:
        """Whether a client sends this by itself when it connects."""
        return self.name in SETTING_UP or (
            self.name == "CLIENT" and bool(self.args) and self.args[0].upper() in CLIENT_SETTING_UP
        )


class Seen:
    """The commands of one `wire()` block, to be read after its end."""

    def __init__(self) -> None:
        self.reported: list[Command] = []  # all, in the server's order; of several, one after the other
        self._commands: list[Command] | None = None
        self._in_scripts: list[Command] | None = None

    def __len__(self) -> int:
        return len(self.commands)

    def __iter__(self) -> Iterator[Command]:
        return iter(self.commands)

    def __repr__(self) -> str:
        return f"<Seen {[' '.join(command.words[:2]) for command in self.commands]}>"

    @property
    def commands(self) -> list[Command]:
        """What clients sent, in the server's order, without what sets up a connection."""
        return self._ended(self._commands)

    @property
    def names(self) -> list[str]:
        """The commands' names, in capitals."""
        return [command.name for command in self.commands]

    @property
    def in_scripts(self) -> list[Command]:
        """What scripts ran inside the server."""
        return self._ended(self._in_scripts)

    def end(self, reported: list[Command]) -> None:
        """Take everything that was reported."""
        self.reported = reported
        self._in_scripts = [command for command in reported if command.source == "lua"]
        self._commands = [
            command for command in reported if command.source != "lua" and not command.sets_up_a_connection
        ]

    def _ended(self, commands: list[Command] | None) -> list[Command]:
        if commands is None:
            msg = "Read what wire() saw after its block: until then it is not complete"
            raise RuntimeError(msg)
        return commands


def parse(line: bytes) -> Command:
    """Read one line of MONITOR."""
    found = _LINE.match(line)
    if found is None:
        msg = f"MONITOR printed {line!r}, not a command"
        raise ValueError(msg)
    name, *args = (_unescape(word).decode(errors="surrogateescape") for word in _WORD.findall(found["words"]))
    return Command(name.upper(), tuple(args), found["source"].decode(), float(found["at"]))


def _unescape(word: bytes) -> bytes:
    def plain(escape: re.Match[bytes]) -> bytes:
        digits, letter = escape.groups()
        return bytes.fromhex(digits.decode()) if digits else _PLAIN.get(letter, letter)

    return _ESCAPE.sub(plain, word)


class _Line:
    """A bare connection: a client library's would send words of its own."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), SECONDS)
        self._replies = self._socket.makefile("rb")
        if server.password:
            self.send("AUTH", server.password)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._socket.close()

    def send(self, *words: str) -> None:
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)]
        self._socket.sendall(b"".join(parts))
        reply = self.read()
        if reply.startswith(b"-"):
            msg = f"{words[0]}: {reply.decode().strip()}"
            raise ConnectionError(msg)

    def read(self) -> bytes:
        line = self._replies.readline()
        if not line.endswith(b"\n"):
            msg = "The server closed the connection that watches it"
            raise ConnectionError(msg)
        return line


@contextmanager
def watch(server: Server) -> Iterator[Seen]:
    """See every command that reaches *server* during the block, none from before and none missing."""
    seen = Seen()
    reported: list[Command] = []
    with _Line(server) as monitor, _Line(server) as marking:
        monitor.send("MONITOR")
        yield seen
        marker = uuid4().hex
        marking.send("ECHO", marker)
        # A server runs one command after the other: what came before the marker is reported before it.
        while (command := parse(monitor.read())).args != (marker,):
            reported.append(command)
    seen.end(reported)
