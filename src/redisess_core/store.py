"""The only code that talks to a client: it runs one operation, blocking or awaited, and translates its errors."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
import weakref
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ClusterError,
    MaxConnectionsError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from redisess_core import connect, scanning
from redisess_core.errors import NamespaceMismatch, RedisessError, StoreUnavailable, StoreUnsupported
from redisess_core.keys import layout_key
from redisess_core.loops import LoopClient, in_its_own_loop, running_loop
from redisess_core.operation import Operation
from redisess_core.scripts import script
from redisess_core.urls import Topology, check_url
from redisess_core.wording import said_by

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redisess_core.events import AsyncEvents, Events
    from redisess_core.operation import Scan, Scanned

T = TypeVar("T")

LAYOUT_VERSION: Final = 1
RENEWED: Final = b""  # in place of a payload
_PASSING: Final = re.compile(  # before 7.0, what a command in a script meets comes after words about the script
    r"(?:Error running script .*: -)?"
    r"(?:LOADING|MASTERDOWN|NOREPLICAS|MISCONF|CLUSTERDOWN|BUSY|NOAUTH|WRONGPASS|OOM|READONLY)\b"
)
_ELSEWHERE: Final = "non local key in a cluster node"  # what a script meets that wants a key of a slot on the move
_PASSING_ERRORS: Final = (ReadOnlyError, OutOfMemoryError, TryAgainError, ClusterError)
PATIENCE: Final = 2.0  # seconds for another server to take the place of one that fails, or for a slot to move
_BREATH: Final = 0.05  # seconds between two tries
_FAILING_OVER: Final = (
    *(RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError),
    *(ClusterError, ClusterDownError, RedisClusterException, TryAgainError),
    AttributeError,  # of a connection that was closed by another task
)
FAILURES: Final = (RedisError, RedisClusterException, OSError)  # the second, no RedisError, is a cluster that is away
_log = logging.getLogger("redisess")


def layout_operation(namespace: str, shards: int) -> Operation[None]:
    """Plan the first operation of a manager: record the namespace's layout, or compare it; look at the server.

    It is run again when a server has lost its scripts: it may be another one, or have lost the record as well.
    """
    settled = {"noeviction"}  # policies that are good, or were warned of
    record = json.dumps({"layout": LAYOUT_VERSION, "shards": shards}, separators=(",", ":"))

    def decode(reply: list[bytes]) -> None:
        recorded, server, memory = (part.decode("utf-8", "replace") for part in reply)
        if not recorded:
            version = re.search(r"redis_version:(\S+)", server)
            raise StoreUnsupported(f"Redis {version[1] if version else '?'} found, 6.2 or later wanted")
        if recorded != record:
            raise NamespaceMismatch(
                f"namespace {namespace!r} is recorded as {recorded[:300]}, this manager wants {record}: "
                "give it the same shards, or another namespace"
            )
        policy = re.search(r"maxmemory_policy:(\S+)", memory)
        if policy and policy[1] not in settled:
            settled.add(policy[1])
            _log.warning(
                "the Redis server may evict sessions (maxmemory-policy %s): set it to noeviction, "
                "or sessions end early and counts are wrong until they expire",
                policy[1],
            )

    return Operation(script("layout"), (layout_key(namespace),), (record,), decode)


class Store:
    """Runs operations on a blocking client; threads and forks share it."""

    def __init__(self, client: connect.BlockingClient | str, first: Operation[None]) -> None:
        self.owned = isinstance(client, str)
        self._location = check_url(client) if isinstance(client, str) else None
        self._client: Any = None if isinstance(client, str) else client  # untyped in parts
        self._connecting = threading.Lock()
        self._patience = _patience(client)
        self._first = first
        self._checked = False
        self._met: set[str] = set()  # scripts that the server has run: where it does not know one, it lost them
        self.listeners: weakref.WeakSet[Events] = weakref.WeakSet()
        if self._location is None or self._location.topology is not Topology.CLUSTER:
            self._connect()
        self._options: dict[str, bool]

    @property
    def client(self) -> Any:
        """The client that was handed in, or made from the URL: a cluster's when it is first wanted, as it asks then."""
        try:
            return self._usable()
        except FAILURES as error:
            raise translate(error) from error

    def _usable(self) -> Any:
        return self._client if self._client is not None else self._connect()

    def servers(self) -> int:
        """Return on how many servers the shards are, as far as the client knows."""
        if not self._checked:
            self._check()
        return connect.primaries_of(self.client)

    def _connect(self) -> Any:
        with self._connecting:
            if self._client is None and self._location is not None:
                self._client = connect.connect(self._location)
        self._options = reply_options(self._client)
        return self._client

    def execute(self, operation: Operation[T]) -> T:
        """Run *operation*, and before it, once a process, the namespace's check."""
        if not self._checked:
            self._check()
        return operation.decode(self._call(operation))

    def execute_together(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run several side by side, in one pipeline; of each its result, or the exception in its place."""
        if len(operations) == 1:
            return [self._outcome(operations[0], None)]
        if not self._checked:
            self._check()
        return [self._outcome(*each) for each in zip(operations, self._pipelined(operations), strict=True)]

    def _pipelined(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Return the replies; None for one that has to be asked for by itself, which then says why."""
        try:
            with self._usable().pipeline(transaction=False) as pipeline:
                for operation in operations:
                    pipeline.execute_command("EVALSHA", operation.script.sha, *_rest(operation), **self._options)
                replies = pipeline.execute(raise_on_error=False)
        except FAILURES:
            return [None] * len(operations)
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def _outcome(self, operation: Operation[Any], reply: Any) -> Any:
        try:
            return self.execute(operation) if reply is None else operation.decode(reply)
        except Exception as error:  # noqa: BLE001  it goes on to the plan, which raises it or knows better
            return error

    def _check(self) -> None:
        self._first.decode(self._call(self._first))
        self._checked = True

    def _call(self, operation: Operation[Any]) -> Any:
        return self._patiently(self._send, operation)

    def _patiently(self, ask: Callable[[Any], T], what: object) -> T:
        """Ask for something, again and again for a while where another server may take over."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return ask(what)
            except FAILURES as error:
                if not _may_pass(error) or time.monotonic() >= until:
                    raise translate(error) from error
                time.sleep(_BREATH)

    def _send(self, operation: Operation[Any]) -> Any:
        known, client, rest = operation.script, self._usable(), _rest(operation)
        try:
            reply = client.execute_command("EVALSHA", known.sha, *rest, **self._options)
        except NoScriptError:
            if known.sha in self._met and operation is not self._first:
                self._check()
            reply = client.execute_command("EVAL", known.source, *rest, **self._options)
        self._met.add(known.sha)
        return reply

    def scan(self, page: Scan) -> Scanned:
        """Read a page of the names of keys, after the namespace's check as `execute` does it."""
        if not self._checked:
            self._check()
        return self._patiently(self._scan, page)

    def _scan(self, page: Scan) -> Scanned:
        client = self.client
        page = scanning.begun(client, page)
        return scanning.scanned(page, client.scan(**scanning.arguments_of(client, page), **self._options))

    def subscribe(self, channels: list[bytes]) -> Any:
        """Return a subscription, confirmed, to *channels*."""
        return self._patiently(self._subscribe, channels)

    def _subscribe(self, channels: list[bytes]) -> Any:
        client = self._usable()
        if connect.is_cluster(client):  # which knows by an answer only whether that node is still there
            client.execute_command("EXISTS", channels[0])
        pubsub = client.pubsub()
        with ExitStack() as on_failure:
            on_failure.callback(pubsub.close)
            pubsub.subscribe(*channels)
            confirmed = 0
            while confirmed < len(channels):
                message = pubsub.get_message(timeout=connect.TIMEOUT)
                if message is None:
                    raise RedisTimeoutError("a subscription was not confirmed in time")
                confirmed += message["type"] == "subscribe"
            on_failure.pop_all()
        return pubsub

    def next_message(self, pubsub: Any, timeout: float) -> bytes | None:
        """Return the next message's payload; None if none comes in time, `RENEWED` if some may have been lost."""
        try:
            message = pubsub.get_message(timeout=timeout)
        except UnicodeDecodeError:  # not ours
            return None
        except FAILURES as error:
            raise translate(error) from error
        return payload_of(message, pubsub.encoder)

    def close(self) -> None:
        """End what listens, and close the client if it was made here."""
        with ExitStack() as ends:  # one that fails does not keep the others open
            if self.owned and self._client is not None:
                ends.callback(self._client.close)
                for sentinel in connect.sentinels_of(self._client):
                    ends.callback(sentinel.close)
            for events in list(self.listeners):
                ends.callback(events.close)


class AsyncStore:
    """Runs operations on an async client: the one handed in, in its own loop, or one a running loop."""

    def __init__(self, client: Any | str, first: Operation[None]) -> None:
        self._location = check_url(client) if isinstance(client, str) else None
        self._client = None if isinstance(client, str) else client
        self._patience = _patience(client)
        self._clustered = connect.is_cluster(client) or (
            self._location is not None and self._location.topology is Topology.CLUSTER
        )
        # Where a node fails, redis-py closes connections that other tasks are about to write to: they find no writer.
        self._failures = (*FAILURES, AttributeError) if self._clustered else FAILURES
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._clients: dict[asyncio.AbstractEventLoop, LoopClient] = {}
        self._lock = threading.Lock()
        self._first = first
        self._checked = False
        self._met: set[str] = set()  # scripts that the server has run: where it does not know one, it lost them
        self.listeners: weakref.WeakSet[AsyncEvents] = weakref.WeakSet()

    @property
    def client(self) -> Any:
        """The client that was handed in; else that of the running event loop."""
        return self._client if self._client is not None else self._usable()

    def _usable(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is not None:
            return self._own_loop(loop)
        known = self._clients.get(loop)
        return known.client if known is not None else self._connect(loop)

    async def servers(self) -> int:
        """Return on how many servers the shards are, as far as the client knows."""
        if not self._checked:
            await self._check()
        return connect.primaries_of(self._usable())

    def _connect(self, loop: asyncio.AbstractEventLoop) -> Any:
        location: Any = self._location  # there is one where no client was handed in
        with self._lock:
            for closed in [known for known in self._clients if known.is_closed()]:
                self._clients.pop(closed).abandon()
            known = self._clients[loop] = LoopClient(connect.connect_async(location))
        return known.client

    def _own_loop(self, loop: asyncio.AbstractEventLoop) -> Any:
        if self._loop is None:
            self._loop = weakref.ref(loop)
        elif self._loop() is not loop:
            raise RuntimeError(
                "the client handed to this manager belongs to another event loop: "
                "use it in one loop only, or give the manager a URL, which makes a client for each"
            )
        return self._client

    async def execute(self, operation: Operation[T]) -> T:
        """Run *operation*, and before it, once a process, the namespace's check."""
        if running_loop() is None:
            return await in_its_own_loop(self.execute, operation)
        if not self._checked:
            await self._check()
        return operation.decode(await self._call(operation))

    async def _check(self) -> None:
        self._first.decode(await self._call(self._first))
        self._checked = True

    async def _call(self, operation: Operation[Any]) -> Any:
        return await self._patiently(self._send, operation)

    async def _patiently(self, ask: Callable[[Any], Awaitable[T]], what: object) -> T:
        """Ask for something, again and again for a while where another server may take over."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return await ask(what)
            except self._failures as error:
                if not _may_pass(error) or time.monotonic() >= until:
                    raise translate(error) from error
                await asyncio.sleep(_BREATH)

    async def _send(self, operation: Operation[Any]) -> Any:
        known, client, rest = operation.script, self._usable(), _rest(operation)
        if self._clustered and not client.get_nodes():  # or what else begins meanwhile goes to any node
            await client.initialize()
        try:
            reply = await client.execute_command("EVALSHA", known.sha, *rest, NEVER_DECODE=True)
        except NoScriptError:
            if known.sha in self._met and operation is not self._first:
                await self._check()
            reply = await client.execute_command("EVAL", known.source, *rest, NEVER_DECODE=True)
        self._met.add(known.sha)
        return reply

    async def scan(self, page: Scan) -> Scanned:
        """Read a page of the names of keys, after the namespace's check as `execute` does it."""
        if not self._checked:
            await self._check()
        return await self._patiently(self._scan, page)

    async def _scan(self, page: Scan) -> Scanned:
        client = self._usable()
        page = scanning.begun(client, page)
        return scanning.scanned(page, await client.scan(**scanning.arguments_of(client, page), NEVER_DECODE=True))

    async def subscribe(self, channels: list[bytes]) -> Any:
        """Return a subscription, confirmed, to *channels*."""
        return await self._patiently(self._subscribe, channels)

    async def _subscribe(self, channels: list[bytes]) -> Any:
        client = self._usable()
        if self._clustered:  # the client knows by an answer only whether that node is still there
            await client.initialize()  # no matter, if it was
            await client.execute_command("EXISTS", channels[0])
        pubsub = client.pubsub()
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(pubsub.aclose)
            await pubsub.subscribe(*channels)
            confirmed = 0
            while confirmed < len(channels):
                message = await pubsub.get_message(timeout=connect.TIMEOUT)
                if message is None:
                    raise RedisTimeoutError("a subscription was not confirmed in time")
                confirmed += message["type"] == "subscribe"
            on_failure.pop_all()
        return pubsub

    async def next_message(self, pubsub: Any, timeout: float) -> bytes | None:  # noqa: ASYNC109  redis-py's own timeout
        """Return the next message's payload; None if none comes in time, `RENEWED` if some may have been lost."""
        try:
            message = await pubsub.get_message(timeout=timeout)
        except UnicodeDecodeError:  # not ours
            return None
        except FAILURES as error:
            raise translate(error) from error
        return payload_of(message, pubsub.encoder)

    async def ping(self, pubsub: Any) -> None:
        """Ask the server for a word on a subscription."""
        try:
            await pubsub.ping()
        except FAILURES as error:
            raise translate(error) from error

    async def aclose(self) -> None:
        """End what listens, and close the clients that were made here, those of other loops in these."""
        for events in list(self.listeners):
            await events.aclose()
        with self._lock:
            clients, self._clients = self._clients, {}
        for loop, known in clients.items():
            if loop is running_loop():
                await known.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(known.aclose(), loop)
            else:
                known.abandon()


def _rest(operation: Operation[Any]) -> tuple[Any, ...]:
    return len(operation.keys), *operation.keys, *operation.args


def _patience(client: Any) -> float:
    """Return how long to try again where a server fails: not at all where none takes its place."""
    if isinstance(client, str):
        fails_over = check_url(client).topology in (Topology.CLUSTER, Topology.SENTINEL)
    else:
        fails_over = connect.fails_over(client)
    return PATIENCE if fails_over else 0.0


def _may_pass(error: Exception) -> bool:
    """Tell whether what was asked for may be granted in a moment, by another server or by this one.

    Every operation may be asked for twice: the scripts answer a second time as they did, or find nothing left to do.
    """
    if isinstance(error, (AuthenticationError, MaxConnectionsError)):
        return False
    return isinstance(error, _FAILING_OVER) or _ELSEWHERE in str(error)


def reply_options(client: Any) -> dict[str, bool]:
    """Return the options of a command whose reply is to stay bytes; a client that decodes none anyway needs none."""
    return {"NEVER_DECODE": True} if client.get_encoder().decode_responses else {}


def translate(error: Exception) -> RedisessError:
    """Say a client's exception in our words; it stays the cause."""
    if isinstance(error, ResponseError) and re.match(r"unknown command .HELLO\b", str(error)):  # new in 6.0
        return StoreUnsupported(f"Redis 6.2 or later wanted, one found that answers: {error}")
    passing = isinstance(error, _PASSING_ERRORS) or _PASSING.match(str(error)) is not None or _ELSEWHERE in str(error)
    if isinstance(error, ResponseError) and not passing:
        return RedisessError(f"Redis refused what was asked of it: {error}")
    return StoreUnavailable(f"Redis cannot be used now: {type(error).__name__}: {said_by(error)}")


def payload_of(message: Any, encoder: Any) -> bytes | None:
    """Return what a message carries, whatever the client decoded; None for none, and for the word of a subscription.

    But that of the first channel is `RENEWED`: the client connected anew by itself.
    """
    if message is None:
        return None
    if message["type"] == "subscribe" and message["data"] == 1:
        return RENEWED
    if message["type"] != "message":
        return None
    payload: bytes = encoder.encode(message["data"])
    return payload
