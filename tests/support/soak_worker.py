"""One process of a soak: lanes that do random operations at once, and a journal of what came of each.

Run as `python -m support.soak_worker '{"colour": ...}'`. A line of the journal says what an operation wanted, what was
answered and, where a witness saw its effect on the node that has the key, and that node's replica confirmed all that
the node had done by then, that it was replicated: no failover may forget it any more.
"""

from __future__ import annotations

import faulthandler
import json
import random
import sys
import threading
import time
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.crc import key_slot
from redis.exceptions import MovedError

from redisess_core import SessionGone, StoreUnavailable
from redisess_core.tokens import shard_of
from redisess_core.values import decode
from support.both import open_manager

if TYPE_CHECKING:
    from collections.abc import Callable

USERS = [f"user{number}" for number in range(9)]
VICTIMS = [f"victim{number}" for number in range(3)]  # of kill_user
HELD = 30  # sessions of a lane, at most
SHORT, LONG = 2, 3600  # seconds
OPTIONS: dict[str, Any] = {"ttl": LONG, "touch_interval": 0.2, "additional_fields": ("role",)}
HUNG = 60.0  # seconds after which a process that does not end says where its threads are


class Witness:
    """Looks at the node that has a key, and has it confirm with its replica what it has done so far."""

    def __init__(self, ports: list[int], marker: str) -> None:
        self._ports, self._marker = ports, marker
        self._nodes: dict[int, redis.Redis] = {}
        self._owners: dict[int, int] = {}

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    def replicated(self, tag: str, looks: list[tuple[str, str]]) -> list[bytes | None] | None:
        """Give fields of hashes of one slot as a node and its replica have them; None where that is not certain."""
        slot = key_slot(tag.encode())
        try:
            port = self._owners[slot] if slot in self._owners else self._find(slot)
            found = self._look(port, tag, looks)
        except redis.RedisError:
            self._owners.pop(slot, None)
            return None
        moved = next((reply for reply in found if isinstance(reply, MovedError)), None)
        if moved is not None:
            self._owners[slot] = moved.port
        elif any(isinstance(reply, Exception) for reply in found) or found[-1] < 1:
            self._owners.pop(slot, None)
        else:
            return found[: len(looks)]
        return None

    def _look(self, port: int, tag: str, looks: list[tuple[str, str]]) -> list[Any]:
        with self._node(port).pipeline(transaction=False) as pipeline:
            for key, name in looks:
                pipeline.hget(key, name)
            pipeline.set(f"{self._marker}:{tag}", 1)
            pipeline.wait(1, 100)
            return pipeline.execute(raise_on_error=False)

    def _find(self, slot: int) -> int:
        """Ask whoever answers; a stale answer is found out when that node is asked for the key."""
        for port in random.sample(self._ports, len(self._ports)):
            try:
                if self._node(port).role()[0] != b"master":
                    continue
                shards = self._node(port).execute_command("CLUSTER", "SLOTS")
            except redis.ResponseError:  # no cluster
                self._owners[slot] = port
                return port
            except redis.RedisError:
                continue
            for first, last, owner, *_ in shards:
                if int(first) <= slot <= int(last):
                    self._owners[slot] = int(owner[1])
                    return self._owners[slot]
        raise redis.ConnectionError("nobody has the slot")

    def _node(self, port: int) -> redis.Redis:
        if port not in self._nodes:
            self._nodes[port] = redis.Redis(port=port, socket_timeout=1, socket_connect_timeout=1, retry=None)
        return self._nodes[port]


class Lane:
    """One thread of operations; it alone rotates the sessions that it created, and writes the data key of its name."""

    def __init__(self, name: str, manager: Any, witness: Witness, chance: random.Random, journal: list[Any]) -> None:
        self.name, self.manager, self.witness, self.chance, self.journal = name, manager, witness, chance, journal
        self.held: list[Any] = []
        self.number = 0  # what this lane last wrote
        self.seen: list[str] = []  # ids of anybody's sessions
        self.may_kill_all = True

    def step(self) -> None:
        """Do one random operation."""
        kinds, weights = zip(*WEIGHTS.items(), strict=True)
        kind = self.chance.choices(kinds, weights)[0]
        if len(self.held) > HELD:
            kind = "kill"
        KINDS[kind](self, kind)

    def do(self, kind: str, action: Callable[[], Any], **wanted: Any) -> tuple[Any, dict[str, Any]]:
        """Run *action*, and note what came of it."""
        line: dict[str, Any] = {"lane": self.name, "kind": kind, "start": time.monotonic(), **wanted}
        result = None
        try:
            result = action()
            line["came"] = "ok"
        except StoreUnavailable as error:
            line["came"], line["said"] = "unavailable", str(error)[:200]
        except SessionGone as error:
            line["came"], line["gone"] = "gone", [str(error.session_id)]
        except Exception:  # noqa: BLE001  whatever it is, the soak is to say so at its end
            line["came"], line["said"] = "error", traceback.format_exc()
        line["end"] = time.monotonic()
        self.journal.append(line)
        return result, line

    def key(self, session_id: str) -> str:
        return f"{self.tag(session_id)}:s:{session_id}"

    def tag(self, session_id: str) -> str:
        return f"{{{self.manager.namespace}:{shard_of(session_id)}}}"

    def confirm_alive(self, line: dict[str, Any], session_id: str, written: int | None = None) -> None:
        key = self.key(session_id)
        seen = self.witness.replicated(self.tag(session_id), [(key, "s"), (key, f"d:{self.name}")])
        if seen is None:
            return
        if seen[0] == b"1":
            line["alive"] = [session_id]
            line["replicated"] = written is not None and seen[1] is not None and decode(seen[1]) == written
            if line["replicated"] or written is None:
                return
        line["witnessed"] = [str(each) for each in seen]  # not what it should be: to be looked at

    def confirm_dead(self, line: dict[str, Any], session_ids: list[str]) -> None:
        by_tag: dict[str, list[str]] = {}
        for session_id in session_ids:
            by_tag.setdefault(self.tag(session_id), []).append(session_id)
        line["dead"] = []
        for tag, ids in by_tag.items():
            seen = self.witness.replicated(tag, [(self.key(session_id), "s") for session_id in ids])
            if seen is not None:
                line["dead"] += [each for each, status in zip(ids, seen, strict=True) if status != b"1"]

    # What it does

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def create(self, kind: str) -> None:
        user = self.chance.choices([self.chance.choice(USERS), self.chance.choice(VICTIMS), None], [75, 20, 5])[0]
        ttl, number = self.chance.choices([LONG, SHORT], [85, 15])[0], self.next_number()
        made, line = self.do(
            kind,
            lambda: self.manager.create(user, ttl=ttl, data={self.name: number}, role="user"),
            born_of=user,
            short=ttl == SHORT,
        )
        if made is not None:
            line["born"] = made.session_id
            line["wrote"] = [made.session_id, number]
            self.held.append(made)
            self.confirm_alive(line, made.session_id, number)

    def rotate(self, kind: str) -> None:
        if not self.held:
            return
        session = self.held.pop(self.chance.randrange(len(self.held)))
        user = {} if kind == "rotate" else {"user_id": self.chance.choice(USERS)}
        old = session.session_id
        made, line = self.do(kind, lambda: self.manager.rotate(session, **user), ends=[old])
        if made is not None:
            line["born"], line["born_of"], line["short"] = made.session_id, made.user_id, made.ttl == SHORT
            line["in_place_of"] = old
            self.held.append(made)
            self.confirm_alive(line, made.session_id)
            if "alive" in line:
                self.confirm_dead(line, [old])

    def set(self, kind: str) -> None:
        session = self.somebodys() if kind == "set of anybody" else self.own()
        if session is None:
            return
        number = self.next_number()
        stored, line = self.do(kind, lambda: session.set(self.name, number), wrote=[session.session_id, number])
        if stored is not None:
            self.confirm_alive(line, session.session_id, number)

    def read(self, kind: str) -> None:
        session = self.own()
        if session is None:
            return
        found, line = self.do(kind, lambda: READS[kind](self.manager, session, self.name), of=session.session_id)
        if line["came"] == "ok" and kind in {"authenticate", "get", "exists", "session.read"} and not found:
            line["gone"] = [session.session_id]

    def write(self, kind: str) -> None:
        session = self.own()
        if session is not None:
            session.role = f"role{self.next_number()}"
            self.do(kind, session.write, of=session.session_id)

    def kill(self, kind: str) -> None:
        if kind == "kill of anybody":
            if not self.seen:
                return
            session_id = self.chance.choice(self.seen)
            _, line = self.do(kind, lambda: self.manager.kill(session_id), ends=[session_id])
        elif not self.held:
            return
        else:
            session = self.held.pop(self.chance.randrange(len(self.held)))
            session_id = session.session_id
            action = session.kill if kind == "session.kill" else lambda: self.manager.kill(session_id)
            _, line = self.do(kind, action, ends=[session_id])
        if line["came"] == "ok":
            self.confirm_dead(line, [session_id])

    def kill_user(self, kind: str) -> None:
        user = self.chance.choice(VICTIMS)
        known = [session.session_id for session in self.held if session.user_id == user]
        _, line = self.do(kind, lambda: self.manager.kill_user(user), ends_user=user)
        if line["came"] == "ok" and known:
            self.confirm_dead(line, known)

    def kill_all(self, kind: str) -> None:
        if self.may_kill_all:
            known = [session.session_id for session in self.held]
            _, line = self.do(kind, self.manager.kill_all, ends_all=True)
            if line["came"] == "ok":
                self.confirm_dead(line, known)

    def look(self, kind: str) -> None:
        user = self.chance.choice(USERS)
        found, _ = self.do(kind, lambda: LOOKS[kind](self.manager, user))
        if isinstance(found, list) and kind == "get_all_sessions":
            self.seen = found[: 5 * HELD]

    def own(self) -> Any:
        return self.chance.choice(self.held) if self.held else None

    def somebodys(self) -> Any:
        mine = {session.session_id for session in self.held}  # which a sign-in carries on as this lane has loaded it
        others = [session_id for session_id in self.seen if session_id not in mine]
        if not others:
            return None
        session_id = self.chance.choice(others)
        found, line = self.do("get", lambda: self.manager.get(session_id), of=session_id)
        if line["came"] == "ok" and found is None:
            line["gone"] = [session_id]
        return found

    def forget_the_dead(self) -> None:
        """Drop what an operation found gone."""
        gone = set(self.journal[-1].get("gone", ())) if self.journal else ()
        if gone:
            self.held = [session for session in self.held if session.session_id not in gone]
            self.seen = [session_id for session_id in self.seen if session_id not in gone]


READS: dict[str, Callable[[Any, Any, str], Any]] = {
    "authenticate": lambda manager, session, _: manager.authenticate(session.token),
    "get": lambda manager, session, _: manager.get(session.session_id, touch=False),
    "exists": lambda manager, session, _: manager.exists(session.session_id),
    "session.read": lambda manager, session, _: session.read(),
    "session.get": lambda manager, session, name: session.get(name),
    "session.get_all": lambda manager, session, _: session.get_all(),
    "session.delete": lambda manager, session, _: session.delete("not there"),
}
LOOKS: dict[str, Callable[[Any, str], Any]] = {
    "count": lambda manager, user: manager.count(),
    "count of late": lambda manager, user: manager.count(60),
    "count_users": lambda manager, user: manager.count_users(),
    "count_for_user": lambda manager, user: manager.count_for_user(user),
    "get_all_sessions": lambda manager, user: manager.get_all_sessions(),
    "get_all_users": lambda manager, user: manager.get_all_users(),
    "get_user_sessions": lambda manager, user: manager.get_user_sessions(user),
    "list_user_sessions": lambda manager, user: len(manager.list_user_sessions(user)),
    "list_sessions": lambda manager, user: len(manager.list_sessions()),
    "get_oldest_user_session": lambda manager, user: manager.get_oldest_user_session(user) is not None,
    "iter_sessions": lambda manager, user: sum(1 for _ in manager.iter_sessions()),
    "iter_users": lambda manager, user: sum(1 for _ in manager.iter_users()),
    "wipe": lambda manager, user: manager.wipe(),
    "now": lambda manager, user: manager.now(),
}
KINDS: dict[str, Callable[[Lane, str], None]] = {
    "create": Lane.create,
    "rotate": Lane.rotate,
    "rotate as a sign-in": Lane.rotate,
    "set": Lane.set,
    "set of anybody": Lane.set,
    "session.write": Lane.write,
    "kill": Lane.kill,
    "kill of anybody": Lane.kill,
    "session.kill": Lane.kill,
    "kill_user": Lane.kill_user,
    "kill_all": Lane.kill_all,
    **dict.fromkeys(READS, Lane.read),
    **dict.fromkeys(LOOKS, Lane.look),
}
WEIGHTS: dict[str, float] = {
    **dict.fromkeys(LOOKS, 0.6),
    **dict.fromkeys(READS, 3),
    "create": 16,
    "rotate": 4,
    "rotate as a sign-in": 3,
    "set": 20,
    "set of anybody": 8,
    "session.write": 4,
    "kill": 4,
    "kill of anybody": 1,
    "session.kill": 2,
    "kill_user": 1,
    "kill_all": 0.05,
}


def run_lane(lane: Lane, seconds: float) -> None:
    began = time.monotonic()
    try:
        while (past := time.monotonic() - began) < seconds:
            lane.may_kill_all = past < seconds / 3  # else little would be left to look for at the end
            lane.step()
            lane.forget_the_dead()
    except Exception:  # noqa: BLE001  as in an operation
        now = time.monotonic()
        lane.journal.append({"kind": "lane", "came": "error", "said": traceback.format_exc(), "start": now, "end": now})


def main(told: dict[str, Any]) -> None:
    faulthandler.dump_traceback_later(told["seconds"] + HUNG, exit=True)
    journal: list[Any] = []
    options = {**OPTIONS, "namespace": told["namespace"], "shards": told["shards"]}
    with open_manager(told["colour"], told["url"], **options) as manager:
        lanes, threads = [], []
        for number in range(told["lanes"]):
            name = f"{told['name']}.{number}"
            witness = Witness(told["ports"], f"marker{name}")
            lanes.append(Lane(name, manager, witness, random.Random(f"{told['seed']}{name}"), journal))
            threads.append(threading.Thread(target=run_lane, args=(lanes[-1], told["seconds"]), name=name))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for lane in lanes:
            lane.witness.close()
    with closing(Path(told["journal"]).open("w", encoding="utf-8")) as file:
        file.writelines(json.dumps(line) + "\n" for line in journal)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
