"""A soak: processes that do random operations while servers fail, and what has to be true at its end."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.crc import key_slot

from redisess_core.tokens import shard_of
from redisess_core.values import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.laboratory import Cluster, Laboratory, Pair
    from support.server import Server

SEED = "REDISESS_SOAK_SEED"
JOURNAL = "REDISESS_SOAK_JOURNAL"  # names a folder in which the journals are kept
LANES = 3
BOUND = 15.0  # seconds that an operation takes at most, whatever happens
GRACE = 10.0  # seconds in which a server that was paused may still do what nobody waits for any more
ALLOWED = {"ok", "gone", "unavailable"}
INDEXES = ("activity", "expiry", "users")


def seed() -> int:
    """Give the seed that the environment names, or a new one."""
    return int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))


@contextmanager
def processes(laboratory: Laboratory, seconds: float, **told: Any) -> Iterator[list[dict[str, Any]]]:
    """Run four processes during the block; at its end the list has their journals' lines, in order of time."""
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        running: list[subprocess.Popen[str]] = []
        for number, colour in enumerate(("blocking", "async", "blocking", "async")):
            arguments = {
                **told,
                "colour": colour,
                "name": f"p{number}",
                "lanes": LANES,
                "seconds": seconds,
                "ports": [server.port for server in laboratory.servers],
                "journal": str(Path(folder, f"{number}.jsonl")),
            }
            command = [sys.executable, "-m", "support.soak_worker", json.dumps(arguments)]
            process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True)
            running.append(ends.enter_context(process))
            ends.callback(process.kill)
        yield lines
        said = [process.communicate(timeout=seconds + 90)[1] for process in running]
        assert [process.returncode for process in running] == [0] * 4, "\n".join(said)
        for number in range(4):
            with Path(folder, f"{number}.jsonl").open() as journal:
                lines += map(json.loads, journal)
    lines.sort(key=lambda line: line["start"])
    if JOURNAL in os.environ:
        Path(os.environ[JOURNAL], f"{told['namespace']}.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines)
        )


@dataclass
class Stored:
    """What is in Redis at the end, read key by key, past the library."""

    hashes: dict[str, dict[bytes, bytes]] = field(default_factory=dict)  # of live sessions, by their ids
    indexes: dict[str, dict[bytes, float]] = field(default_factory=dict)  # by their keys

    def of_user(self) -> dict[str, set[str]]:
        """Give the live sessions of each user that has some."""
        found: dict[str, set[str]] = {}
        for session_id, stored in self.hashes.items():
            if b"u" in stored:
                found.setdefault(stored[b"u"].decode(), set()).add(session_id)
        return found

    def drift(self, namespace: str) -> list[str]:
        """Say where an index does not hold what the hashes say."""
        wanted: dict[str, dict[bytes, float]] = {key: {} for key in self.indexes}

        def enter(key: str, member: bytes, score: float) -> None:
            wanted.setdefault(key, {})[member] = max(score, wanted.get(key, {}).get(member, score))

        for session_id, stored in self.hashes.items():
            prefix, last = f"{{{namespace}:{shard_of(session_id)}}}:", seconds_of(stored[b"l"])
            user = stored.get(b"u", b"")
            enter(f"{prefix}activity", session_id.encode(), last)
            enter(f"{prefix}expiry", session_id.encode() + b":" + user, last + float(stored[b"t"]))
            if user:
                enter(f"{prefix}u:{user.decode()}", session_id.encode(), last)
                enter(f"{prefix}users", user, last)
        found = []
        for key, entries in wanted.items():
            there = self.indexes.get(key, {})
            found += [f"{key} lacks {member!r}" for member in entries.keys() - there.keys()]
            found += [f"{key} has {member!r} too much" for member in there.keys() - entries.keys()]
            found += [
                f"{key} has {member!r} at {there[member]}, not at {score}"
                for member, score in entries.items()
                if member in there and abs(there[member] - score) > 1e-5
            ]
        return found


def seconds_of(text: bytes) -> float:
    return float(text) if b"." in text or b"e" in text else int(text) / 1e6


def read(clients: list[redis.Redis], namespace: str) -> Stored:
    """Read all that the primaries hold of a namespace."""
    stored = Stored()
    for client in clients:
        now = float("{}.{:06}".format(*client.time()))
        for key in client.scan_iter(match=f"{{{namespace}:*", count=1000):
            _, _, rest = key.decode().partition("}:")
            if rest.startswith("s:"):
                found = client.hgetall(key)
                if found.get(b"s") == b"1" and now < seconds_of(found[b"l"]) + float(found[b"t"]):
                    stored.hashes[rest[2:]] = found
            elif rest in INDEXES or rest.startswith("u:"):
                stored.indexes[key.decode()] = dict(client.zrange(key, 0, -1, withscores=True))
    return stored


def violations(lines: list[dict[str, Any]], stored: Stored) -> list[str]:
    """Say what of the journal is not so at the end."""
    found = []
    for line in lines:
        if line["came"] not in ALLOWED:
            found.append(f"an error that is not documented: {line}")
        if line["end"] - line["start"] > BOUND:
            found.append(f"an operation took {line['end'] - line['start']:.1f} s: {line}")
    return found + undone(lines, stored) + missing(lines, stored) + lost(lines, stored)


def undone(lines: list[dict[str, Any]], stored: Stored) -> list[str]:
    """Say which sessions live whose end was replicated."""
    ended = {session_id: line for line in lines for session_id in line.get("dead", ())}
    return [f"lives, though its end was replicated: {one}: {ended[one]}" for one in ended.keys() & stored.hashes.keys()]


def attempts(lines: list[dict[str, Any]]) -> Callable[[str, dict[str, Any]], bool]:
    """Give what tells whether anybody tried to end a session that the line says was born."""
    ended = {session_id for line in lines for session_id in line.get("ends", ())}
    of_users = [(line["ends_user"], line["end"]) for line in lines if "ends_user" in line]
    of_all = [line["end"] for line in lines if "ends_all" in line]

    def tried(session_id: str, born: dict[str, Any]) -> bool:
        since = born["start"] - GRACE
        return (
            session_id in ended
            or any(user == born["born_of"] and until > since for user, until in of_users)
            or any(until > since for until in of_all)
        )

    return tried


def missing(lines: list[dict[str, Any]], stored: Stored) -> list[str]:
    """Say which sessions are missing that were replicated and nobody ended, and which came back from the dead."""
    tried = attempts(lines)
    births = {line["born"]: line for line in lines if "born" in line}
    alive = {session_id: line for line in lines for session_id in line.get("alive", ())}
    gone = {session_id: line for line in lines for session_id in line.get("gone", ())}
    found = []
    for session_id, born in births.items():
        if born["short"] or tried(session_id, born):
            continue
        if session_id in alive and session_id not in stored.hashes:
            found.append(f"missing, though it was replicated: {session_id}: {alive[session_id]}")
        if session_id in gone and session_id in stored.hashes:
            found.append(f"lives, and was said to be gone: {gone[session_id]}")
    return found


def lost(lines: list[dict[str, Any]], stored: Stored) -> list[str]:
    """Say where less is stored than was replicated, or more than anybody wrote."""
    least: dict[tuple[str, str], int] = {}
    most: dict[tuple[str, str], int] = {}
    for line in lines:
        if "in_place_of" in line:  # a rotation keeps the data, of this lane's own, which did nothing else meanwhile
            name, old, new = line["lane"], line["in_place_of"], line["born"]
            most[new, name] = most.get((old, name), -1)
            if new in line.get("alive", ()):
                least[new, name] = least.get((old, name), -1)
        if "wrote" in line:
            session_id, number = line["wrote"]
            most[session_id, line["lane"]] = number
            if line.get("replicated"):
                least[session_id, line["lane"]] = number
    found = []
    for (session_id, name), number in least.items():
        if session_id in stored.hashes:
            value = stored.hashes[session_id].get(b"d:" + name.encode())
            there = -1 if value is None else decode(value)
            if not number <= there <= most[session_id, name]:
                found.append(
                    f"{name} in {session_id} is {there}: {number} was replicated, {most[session_id, name]} attempted"
                )
    return found


def numbers(lines: list[dict[str, Any]]) -> str:
    """Say how much was done."""
    came = Counter(line["came"] for line in lines)
    replicated = sum(bool(line.get("replicated")) for line in lines)
    dead = sum(len(line.get("dead", ())) for line in lines)
    slowest = max(line["end"] - line["start"] for line in lines)
    witnessed = sum("witnessed" in line for line in lines)
    refused = Counter(line["said"][:90] for line in lines if line["came"] == "unavailable")
    return (
        f"{len(lines)} operations: {dict(came)}; {replicated} writes and {dead} ends seen replicated, "
        f"{witnessed} seen undone; the slowest took {slowest:.1f} s; unavailable: {dict(refused.most_common(8))}"
    )


class Faults:
    """What is done to the servers, one fault after the other, each mended before the next."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.done: list[tuple[float, str]] = []
        self.kinds: dict[str, Callable[[], None]] = {}

    def go_on_for(self, seconds: float) -> None:
        """Do each kind at least once, then any, until the time is over."""
        until, waiting = time.monotonic() + seconds, self.chance.sample(list(self.kinds), len(self.kinds))
        while time.monotonic() < until:
            kind = waiting.pop() if waiting else self.chance.choice(list(self.kinds))
            self.done.append((time.monotonic(), kind))
            self.kinds[kind]()
            self.done.append((time.monotonic(), f"{kind}: mended"))
            time.sleep(self.chance.uniform(0.2, 1.0))

    def __str__(self) -> str:
        return str(dict(Counter(kind for _, kind in self.done if not kind.endswith("mended"))))


class ClusterFaults(Faults):
    """Primaries killed, paused and handed over, and slots of a namespace moved."""

    def __init__(self, cluster: Cluster, namespace: str, shards: int, chance: random.Random) -> None:
        super().__init__(chance)
        self.cluster = cluster
        self.slots = [key_slot(f"{{{namespace}:{number}}}".encode()) for number in range(shards)]
        self.kinds = {
            "kill a primary": self.kill,
            "pause a primary": self.pause,
            "pause a primary for a moment": self.hold,
            "hand over": self.hand_over,
            "move slots": self.move,
        }

    def primary(self) -> Server:
        return self.chance.choice(self.cluster.primaries())

    def kill(self) -> None:
        primary = self.primary()
        self.cluster.kill_primary(primary)
        time.sleep(self.chance.uniform(0, 1))
        primary.start()
        self.cluster.until_whole()

    def pause(self) -> None:
        primary = self.primary()
        self.cluster.replica_of(primary)
        primary.pause()
        time.sleep(4)
        primary.resume()
        self.cluster.until_whole()

    def hold(self) -> None:
        primary = self.primary()
        primary.pause()
        time.sleep(0.5)
        primary.resume()
        self.cluster.until_whole()

    def hand_over(self) -> None:
        self.cluster.fail_over(self.primary())
        self.cluster.until_whole()

    def move(self) -> None:
        for slot in self.chance.sample(self.slots, 3):
            target = self.primary()
            self.cluster.move_slot(slot, target, between=lambda: time.sleep(0.003))
            confirm(target)


class PairFaults(Faults):
    """A primary under sentinels killed, and handed over."""

    def __init__(self, pair: Pair, chance: random.Random) -> None:
        super().__init__(chance)
        self.pair = pair
        self.kinds = {"kill the primary": self.kill, "hand over": self.hand_over}

    def kill(self) -> None:
        primary = self.pair.primary()
        self.pair.kill_primary()
        time.sleep(self.chance.uniform(0, 1))
        primary.start()
        self.pair.until_whole()

    def hand_over(self) -> None:
        self.pair.fail_over()
        self.pair.until_whole()


def confirm(server: Server) -> None:
    """Have a replica confirm what *server* has done so far, that what moved to it is not lost with it."""
    with redis.Redis(port=server.port) as client:
        slot = next(
            slot
            for first, last, owner, *_ in client.execute_command("CLUSTER", "SLOTS")
            if int(owner[1]) == server.port
            for slot in [int(first)]
        )
        key = next(key for key in (f"confirm{{{n}}}" for n in range(10**6)) if key_slot(key.encode()) == slot)
        client.set(key, 1)
        assert client.wait(1, 10_000) >= 1
