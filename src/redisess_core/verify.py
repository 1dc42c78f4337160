"""The comparison of the indexes with the sessions, over a live namespace, by bounded pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from redisess_core.keys import SESSION, USER, namespace_pattern
from redisess_core.operation import PAUSE, Argument, Operation, Scan, Scanned, Steps
from redisess_core.scripts import script
from redisess_core.steps import More, until_done
from redisess_core.tokens import SESSION_ID_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redisess_core.keys import ShardKeys

KEYS_PAGE: Final = 500  # names of keys that the server looks at for one SCAN
SESSIONS_PAGE: Final = 25  # sessions that one script compares
USERS_PAGE: Final = 8  # users' sets that one script compares, where they are short
ENTRIES_PAGE: Final = 50  # entries of one index that one script compares
_SIZES: Final = {SESSION: SESSIONS_PAGE, USER: USERS_PAGE}
_COUNTED: Final = ("sessions", "users", "missing", "stray", "misplaced", "early", "never")  # as report() in drift.lua


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify()` found: the live sessions and the users that it met, and what differs, by kind.

    What lives throughout is compared; what comes or goes meanwhile may be, and may be counted twice.
    """

    sessions: int
    """Live sessions."""
    users: int
    """Users who have sessions."""
    missing: int
    """Entries that an index should have, of a live session, or of a user who has sessions, and has not."""
    stray: int
    """Entries of an index that no live session stands behind, or none of that user."""
    misplaced: int
    """Entries whose score is not the session's last access or end, or the latest access of the user's sessions."""
    early: int
    """Keys that Redis would remove by itself before the session ends, or the longest-lived of an index."""
    never: int
    """Keys that Redis would never remove by itself, though no immortal session holds them."""
    repaired: bool
    """Whether what differed was repaired."""

    @property
    def drift(self) -> int:
        """How much differed, of all kinds; 0: the indexes say what the sessions say."""
        return self.missing + self.stray + self.misplaced + self.early + self.never


class Comparison:
    """One run of `verify()` under way."""

    def __init__(
        self,
        namespace: str,
        shards: Sequence[ShardKeys],
        clock_argument: Callable[[], bytes],
        mode: Literal["", "repair", "enter"] = "",
    ) -> None:
        self._shards, self._clock_argument, self._mode = shards, clock_argument, mode
        self._by_prefix = {shard.prefix: shard for shard in shards}
        self._pattern = namespace_pattern(namespace)
        self._counts = Counter[str]()
        self._users_go_early: set[int] = set()  # shards: every users' set tells of that one key

    def steps(self) -> Steps[Verification]:
        """Plan it. Strays go before the sessions' entries come, so that a repair leaves each key the right expiry.

        What the indexes name comes by their own pages; what none names, only by the names of the keys.
        """
        for shard in self._shards:
            for index in (shard.expiry, shard.activity):
                self._counts += yield from self._index(shard, index)
        yield from self._keys()
        for shard in self._shards:
            self._counts += yield from self._index(shard, shard.users)
        self._counts["early"] += len(self._users_go_early)
        return Verification(**{name: self._counts[name] for name in _COUNTED}, repaired=bool(self._mode))

    def mend(self, shard: ShardKeys, *indexes: bytes) -> Steps[None]:
        """Remove from indexes of the shard what is gone, and enter what lives."""
        for index in indexes:
            yield from self._index(shard, index)

    def mend_users(self, shard: ShardKeys, sets: list[bytes]) -> Steps[None]:
        """Do the same to users' sets."""
        yield from self._all_of((shard.prefix, USER), sets)

    def _index(self, shard: ShardKeys, index: bytes, user: bytes = b"") -> Steps[Counter[str]]:
        counts, cursor = Counter[str](), b""
        while True:
            reply = yield from self._compare("verify_index", shard, [index], user, cursor, ENTRIES_PAGE)
            counts += _read(reply)
            self._note_users(shard, reply[8])
            if reply[9] == b"done":
                return counts
            cursor = reply[10]

    def _keys(self) -> Steps[None]:
        """Compare what the keyspace holds: sessions and users' sets, gathered by shard until they fill a script."""
        waiting: dict[tuple[bytes, bytes], list[bytes]] = {}
        page: Scan | None = Scan(self._pattern, KEYS_PAGE)
        while page is not None:
            scanned: Scanned = yield page
            yield PAUSE
            for key in scanned.keys:
                kind = self._kind(key)
                if kind is not None:
                    waiting.setdefault(kind, []).append(key)
            for kind in [kind for kind, keys in waiting.items() if len(keys) >= _SIZES[kind[1]]]:
                yield from self._all_of(kind, waiting.pop(kind))
            page = scanned.following
        for kind, keys in waiting.items():
            yield from self._all_of(kind, keys)

    def _kind(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Tell the shard's prefix and the kind of a key; None of what is not compared here."""
        braced, _, rest = key.partition(b"}:")
        prefix, kind = braced + b"}:", rest[:2]
        if prefix not in self._by_prefix or kind not in _SIZES:
            return None
        if kind == SESSION and len(rest) != len(SESSION) + SESSION_ID_LENGTH:
            return None
        return prefix, kind

    def _all_of(self, kind: tuple[bytes, bytes], keys: list[bytes]) -> Steps[None]:
        shard = self._by_prefix[kind[0]]
        for at in range(0, len(keys), _SIZES[kind[1]]):
            some = list(dict.fromkeys(keys[at : at + _SIZES[kind[1]]]))
            if kind[1] == SESSION:
                self._counts += _read((yield from self._compare("verify", shard, some)))
            else:
                yield from self._users(shard, some)

    def _users(self, shard: ShardKeys, sets: list[bytes]) -> Steps[None]:
        reply = yield from self._compare("verify_users", shard, sets)
        self._counts += _read(reply)
        self._note_users(shard, reply[8])
        for key in [sets[int(which)] for which in reply[9:]]:
            counts = yield from self._index(shard, key, key.removeprefix(shard.prefix + USER))
            counts["early"] = min(counts["early"], 1)  # each page tells of that one key
            self._counts += counts

    def _note_users(self, shard: ShardKeys, go_early: int) -> None:
        if go_early:
            self._users_go_early.add(shard.number)

    def _compare(self, name: str, shard: ShardKeys, keys: list[bytes], *args: Argument) -> Steps[list[Any]]:
        """Run one of the scripts, and rest."""

        def decode(reply: list[Any]) -> list[Any]:
            if reply[0] == b"more":
                raise More
            return reply

        planned = Operation(script(name), (*shard.indexes, *keys), (self._clock_argument(), self._mode, *args), decode)
        reply = yield from until_done(planned)
        yield PAUSE
        return reply


def _read(reply: list[Any]) -> Counter[str]:
    return Counter(dict(zip(_COUNTED, reply[1:], strict=False)))
