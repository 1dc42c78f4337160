"""Redis past one machine: a cluster and a sentinelled pair of real processes, which tests break and mend."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Self

import redis
from redis.crc import key_slot

from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

SLOTS = 16384
PATIENCE = 60.0  # seconds for processes to agree
NODE_TIMEOUT = 1000  # milliseconds after which a node is taken for dead
GIVEN_UP = 10.0  # seconds after which servers on a busy machine have done a failover, or have given it up
SERVICE = "main"
DURABLE = (
    *("--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
    *("--repl-timeout", "10"),
)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll *condition* until it holds; a node that does not answer meanwhile is one for which it does not."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if found := condition():
                return found
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.02)


class Laboratory:
    """Servers that end together, with the clients that were made of them."""

    open: ClassVar[set[Laboratory]] = set()  # their processes outlive a test, in which one may be started again

    def __init__(self) -> None:
        self.servers: list[Server] = []
        self.open.add(self)
        self._ends = ExitStack()
        self._talk: dict[Server, redis.Redis] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
        self.open.discard(self)

    @property
    def processes(self) -> set[int]:
        """Give the numbers of the running processes."""
        return {server.process.pid for server in self.servers if server.process is not None}

    def ask(self, server: Server, *command: Any) -> Any:
        """Send *server* itself a command; nothing is tried again."""
        if server not in self._talk:
            self._talk[server] = server.client(socket_timeout=2, socket_connect_timeout=1, retry=None)
        return self._talk[server].execute_command(*command)

    def _start(self, make: Callable[[], Server]) -> Server:
        server = self._ends.enter_context(make())
        self.servers.append(server)
        return server

    def role(self, server: Server) -> str:
        """Give what *server* takes itself for: `master` or `slave`; nothing if it does not answer."""
        try:
            return str(self.ask(server, "INFO", "replication")["role"]) if server.running else ""
        except redis.RedisError:
            return ""

    def _in_step(self, replica: Server, primary: Server) -> bool:
        """Tell whether *replica* has all that *primary* has written."""
        written = self.ask(primary, "INFO", "replication")["master_repl_offset"]
        said = self.ask(replica, "INFO", "replication")
        linked = said.get("master_link_status") == "up" and said["master_port"] == primary.port
        return linked and int(said["slave_repl_offset"]) >= int(written)

    def _hand_over(self, ask: Callable[[], object], done: Callable[[], bool], what: str) -> None:
        """Ask for a failover, and ask again: who does it gives up when the others are slow to follow."""
        asked_at = float("-inf")

        def taken_over() -> bool:
            nonlocal asked_at
            if done():
                return True
            if time.monotonic() - asked_at > GIVEN_UP:
                ask()
                asked_at = time.monotonic()
            return False

        until(taken_over, what)

    def start_all(self) -> None:
        """Start again what was killed."""
        for server in self.servers:
            server.start()


class Cluster(Laboratory):
    """A Redis Cluster: `Cluster()` has three primaries with a replica each."""

    def __init__(self, primaries: int = 3, replicas: int = 1, *arguments: str) -> None:
        super().__init__()
        node = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT))
        node += ("--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no")
        try:
            for _ in range(primaries * (1 + replicas)):
                self._start(lambda: Server(*node, *DURABLE, *arguments))
            self._join(primaries)
        except BaseException:
            self.__exit__()
            raise

    def _join(self, primaries: int) -> None:
        first, edges = self.servers[0], [SLOTS * part // primaries for part in range(primaries + 1)]
        for number, server in enumerate(self.servers):
            self.ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.ask(server, "CLUSTER", "MEET", "127.0.0.1", first.port)
            if number < primaries:
                self.ask(server, "CLUSTER", "ADDSLOTS", *range(edges[number], edges[number + 1]))
        until(lambda: all(self._knows_all(server) for server in self.servers), "the nodes know each other")
        for number, server in enumerate(self.servers[primaries:]):
            self.ask(server, "CLUSTER", "REPLICATE", self.id_of(self.servers[number % primaries]))
        self.until_whole()

    @property
    def url(self) -> str:
        """The `redis+cluster://` URL that names every node."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def id_of(self, server: Server) -> str:
        """Give the name that the cluster has for a node."""
        return str(self.ask(server, "CLUSTER", "MYID").decode())

    def primaries(self) -> list[Server]:
        """Give those that take themselves for a primary."""
        return [server for server in self.servers if self.role(server) == "master"]

    def primary_of(self, key: bytes | str) -> Server:
        """Give the node that serves *key*, as the nodes say."""
        slot = key_slot(key.encode() if isinstance(key, str) else key)
        return until(lambda: self._owner(slot), f"slot {slot} is served")

    def _owner(self, slot: int, speaker: Server | None = None) -> Server | None:
        for start, end, owner, *_ in self.ask(speaker or self._speaker(), "CLUSTER", "SLOTS"):
            if int(start) <= slot <= int(end):
                return next(server for server in self.servers if server.port == int(owner[1]))
        return None

    def _speaker(self) -> Server:
        return next(server for server in self.servers if self.role(server) == "master")

    def replica_of(self, primary: Server) -> Server:
        """Give a running replica of *primary*, in step with it."""

        def found() -> Server | None:
            others = [server for server in self.servers if server is not primary and self.role(server) == "slave"]
            return next((server for server in others if self._in_step(server, primary)), None)

        return until(found, f"{primary} has a replica in step")

    def until_whole(self) -> None:
        """Wait until every running node serves a whole cluster, and every replica is in step."""

        def whole() -> bool:
            running = [server for server in self.servers if server.running]
            return all(self._is_well(server) for server in running)

        until(whole, "the cluster is whole")

    def _is_well(self, server: Server) -> bool:
        info = self.ask(server, "CLUSTER INFO")
        well = info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == SLOTS
        return well and (self.role(server) == "master" or self._in_step(server, self._primary_of(server)))

    def _primary_of(self, replica: Server) -> Server:
        port = self.ask(replica, "INFO", "replication")["master_port"]
        return next(server for server in self.servers if server.port == port)

    def _knows_all(self, server: Server) -> bool:
        nodes = self.ask(server, "CLUSTER NODES")
        told = [node for node in nodes.values() if node["connected"] and "handshake" not in node["flags"]]
        return len(told) == len(self.servers)

    def fail_over(self, primary: Server) -> Server:
        """Hand *primary*'s slots to its replica, as an administrator does; gives the new primary."""
        replica = self.replica_of(primary)
        self._hand_over(
            lambda: self.ask(replica, "CLUSTER", "FAILOVER"),
            lambda: self.role(replica) == "master",
            f"{replica} takes over",
        )
        return replica

    def kill_primary(self, primary: Server) -> Server:
        """Kill *primary* with -9, and wait until its replica, which was in step, has taken over; gives that."""
        replica = self.replica_of(primary)
        primary.kill()
        until(lambda: self.role(replica) == "master", f"{replica} takes over")
        return replica

    def move_slot(
        self,
        slot: int,
        to: Server,
        *,
        between: Callable[[], object] = lambda: None,
        order: Callable[[bytes], Any] | None = None,
    ) -> None:
        """Move *slot* and its keys to the primary *to*, key by key; *between* is called while the slot is in both.

        *order*: the key by which to sort those keys; else they go as the server names them.
        """
        source = until(lambda: self._owner(slot), f"slot {slot} is served")
        if source is to:
            return
        target_id, source_id = self.id_of(to), self.id_of(source)
        self.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        between()
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1000 if order else 1):
            key = min(keys, key=order) if order else keys[0]
            self.ask(source, "MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", key)
            between()
        for server in (to, source, *(other for other in self.primaries() if other not in (to, source))):
            self.ask(server, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        until(lambda: self._owners(slot) == {to}, f"all primaries know that slot {slot} is of {to}")

    def _owners(self, slot: int) -> set[Server | None]:
        return {self._owner(slot, primary) for primary in self.primaries()}


class SentinelServer(Server):
    """One sentinel of a primary."""

    def __init__(self, primary: Server) -> None:
        self._primary = primary
        super().__init__()

    def _command(self) -> list[str]:
        configuration = self.directory / "sentinel.conf"
        if not configuration.exists():
            lines = (
                f"port {self.port}",
                "bind 127.0.0.1",
                f"dir {self.directory}",
                f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary.port} 2",
                f"sentinel down-after-milliseconds {SERVICE} {NODE_TIMEOUT}",
                f"sentinel failover-timeout {SERVICE} 3000",
            )
            configuration.write_text("\n".join(lines) + "\n")
        return [str(self.binary), str(configuration), "--sentinel"]


class Pair(Laboratory):
    """A primary, a replica, and three sentinels that watch them."""

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        try:
            primary = self._start(lambda: Server(*DURABLE, *arguments))
            replicating = ("--replicaof", f"127.0.0.1 {primary.port}")
            self._start(lambda: Server(*DURABLE, *replicating, *arguments))
            self.sentinels = [self._ends.enter_context(SentinelServer(primary)) for _ in range(3)]
            self.until_whole()
        except BaseException:
            self.__exit__()
            raise

    @property
    def url(self) -> str:
        """The `redis+sentinel://` URL that names the three sentinels."""
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels) + f"/{SERVICE}"

    def primary(self) -> Server:
        """Give the server that the sentinels name, once it takes itself for the primary."""
        return until(self._named, "the sentinels name a primary")

    def _said(self, sentinel: SentinelServer) -> dict[bytes, bytes]:
        said: dict[bytes, bytes] = self.ask(sentinel, "SENTINEL", "MASTER", SERVICE)  # a map, as RESP3 has them
        return said

    def _named(self) -> Server | None:
        named = {int(self._said(sentinel)[b"port"]) for sentinel in self._awake()}
        if len(named) != 1:
            return None
        found = next(server for server in self.servers if server.port in named)
        return found if self.role(found) == "master" else None

    def _awake(self) -> list[SentinelServer]:
        return [sentinel for sentinel in self.sentinels if sentinel.running]

    def replica(self) -> Server:
        """Give the other server, in step with the primary."""
        primary = self.primary()
        other = next(server for server in self.servers if server is not primary)
        until(lambda: self.role(other) == "slave" and self._in_step(other, primary), f"{other} is in step")
        return other

    def until_whole(self) -> None:
        """Wait until the sentinels know each other and both servers, and the replica is in step."""

        def known(sentinel: SentinelServer) -> bool:
            said = self._said(sentinel)
            return [said[b"num-other-sentinels"], said[b"num-slaves"], said[b"flags"]] == [b"2", b"1", b"master"]

        until(lambda: all(known(sentinel) for sentinel in self._awake()), "the sentinels know each other")
        self.replica()

    def start_all(self) -> None:
        """Start again what was killed, as a replica: to see to that would take the sentinels some ten seconds."""
        for server in self.servers:
            if not server.running:
                primary = self.primary()
                server.start()
                self.ask(server, "REPLICAOF", "127.0.0.1", primary.port)

    def fail_over(self) -> Server:
        """Make the replica the primary, as an administrator does; gives it."""
        replica = self.replica()
        self._hand_over(
            lambda: self.ask(self.sentinels[0], "SENTINEL", "FAILOVER", SERVICE),
            lambda: self._named() is replica,
            f"{replica} takes over",
        )
        return replica

    def kill_primary(self) -> Server:
        """Kill the primary with -9, and wait until the replica, which was in step, has taken over; gives that."""
        replica, primary = self.replica(), self.primary()
        primary.kill()
        until(lambda: self._named() is replica, f"{replica} takes over")
        return replica
