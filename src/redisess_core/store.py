"""The only code that talks to a client: it runs one operation, blocking or awaited, and translates its errors."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from redisess_core import connect, scanning
from redisess_core.errors import StoreUnavailable, StoreUnsupported
from redisess_core.failover import BREATH, Primary, patience_with
from redisess_core.failures import FAILURES, in_our_words, is_failure, may_pass, translate
from redisess_core.loops import LoopClient, in_its_own_loop, running_loop
from redisess_core.single_flight import SingleFlight
from redisess_core.urls import Topology, check_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redisess_core.events import AsyncEvents, Events
    from redisess_core.operation import Operation, Scan, Scanned

T = TypeVar("T")

RENEWED: Final = b""  # in place of a payload


class Store:
    """Runs operations on a blocking client; threads and forks share it."""

    def __init__(self, client: connect.BlockingClient | str, first: Operation[None]) -> None:
        self.owned = isinstance(client, str)
        self._location = check_url(client) if isinstance(client, str) else None
        self._client: Any = None if isinstance(client, str) else client  # untyped in parts
        self._connecting: SingleFlight[None] = SingleFlight()
        topology = connect.topology_of(client)
        self._patience = patience_with(topology)
        self._primary = Primary() if topology is Topology.SENTINEL else None
        self._first = first
        self._checked = False
        self._met: set[str] = set()  # scripts that the server has run: where it does not know one, it lost them
        self.listeners: weakref.WeakSet[Events] = weakref.WeakSet()
        self._options: dict[str, bool] = {}
        if self._client is not None:
            self._options = reply_options(self._client)
        elif topology is not Topology.CLUSTER:
            self._connect()

    @property
    def client(self) -> Any:
        """The client that was handed in, or made from the URL: a cluster's when it is first wanted, as it asks then."""
        with in_our_words():
            return self._usable()

    def _usable(self) -> Any:
        if self._client is None:
            self._connecting.attempt(self._connect)
        return self._client

    def servers(self) -> int:
        """Return on how many servers the shards are, as far as the client knows."""
        if not self._checked:
            self._check()
        return connect.primaries_of(self.client)

    def _connect(self) -> None:
        if self._client is None and self._location is not None:
            client = connect.connect(self._location)
            self._options = reply_options(client)  # first: others take the client as soon as it is there
            self._client = client

    def execute(self, operation: Operation[T]) -> T:
        """Run *operation*, and before it, once a process, the namespace's check."""
        if not self._checked:
            self._check()
        return operation.decode(self._call(operation))

    def execute_together(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run several side by side, in one pipeline; of each its result, or the exception in its place.

        Where Redis is away, that is raised: the others would find it so, one after the other.
        """
        if len(operations) == 1:
            return [self._outcome(operations[0])]
        if not self._checked:
            self._check()
        outcomes: list[Any] = [None] * len(operations)
        left, until = list(range(len(operations))), time.monotonic() + self._patience
        while left:
            again: list[int] = []
            replies = self._pipelined([operations[at] for at in left])
            for at, reply in zip(left, replies, strict=True):
                if isinstance(reply, FAILURES) and may_pass(reply) and time.monotonic() < until:
                    again.append(at)
                else:
                    outcomes[at] = self._outcome(operations[at], reply)
            left = again
            if left:
                time.sleep(BREATH)
        return outcomes

    def _pipelined(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Return the replies; an exception in place of one that there is none of."""
        try:
            with self._ready().pipeline(transaction=False) as pipeline:
                for operation in operations:
                    pipeline.execute_command("EVALSHA", operation.script.sha, *_rest(operation), **self._options)
                replies: list[Any] = pipeline.execute(raise_on_error=False)
        except FAILURES as error:
            return [error] * len(operations)
        return replies

    def _outcome(self, operation: Operation[Any], reply: Any = None) -> Any:
        """Read a reply; without one, or where the script has to be sent, ask."""
        if isinstance(reply, FAILURES) and not isinstance(reply, NoScriptError):
            raise translate(reply) from reply
        try:
            if reply is None or isinstance(reply, NoScriptError):
                return self.execute(operation)
            return operation.decode(reply)
        except StoreUnavailable:
            raise
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
                if not may_pass(error) or time.monotonic() >= until:
                    raise translate(error) from error
                time.sleep(BREATH)

    def _send(self, operation: Operation[Any]) -> Any:
        known, client, rest = operation.script, self._ready(), _rest(operation)
        try:
            reply = client.execute_command("EVALSHA", known.sha, *rest, **self._options)
        except NoScriptError:
            if known.sha in self._met and _wants_check(client, operation, self._first):
                self._check()
            reply = client.execute_command("EVAL", known.source, *rest, **self._options)
        self._met.add(known.sha)
        return reply

    def _ready(self) -> Any:
        """Return the client, which knows whom to ask."""
        client = self._usable()
        if self._primary is not None and self._primary.is_due(client):
            with self._primary.asking(client):
                client.connection_pool.get_master_address()
        return client

    def scan(self, page: Scan) -> Scanned:
        """Read a page of the names of keys, after the namespace's check as `execute` does it."""
        if not self._checked:
            self._check()
        return self._patiently(self._scan, page)

    def _scan(self, page: Scan) -> Scanned:
        client = self._ready()
        page = scanning.begun(client, page)
        return scanning.scanned(page, client.scan(**scanning.arguments_of(client, page), **self._options))

    def subscribe(self, channels: list[bytes]) -> Any:
        """Return a subscription, confirmed, to *channels*."""
        return self._patiently(self._subscribe, channels)

    def _subscribe(self, channels: list[bytes]) -> Any:
        client = self._ready()
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
            with in_our_words():
                message = pubsub.get_message(timeout=timeout)
        except UnicodeDecodeError:  # not ours
            return None
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
        topology = connect.topology_of(client)
        self._patience = patience_with(topology)
        self._primary = Primary() if topology is Topology.SENTINEL else None
        self._clustered = topology is Topology.CLUSTER
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
            except Exception as error:  # of any kind: tasks share a client, whose failures need not be redis-py's
                if not is_failure(error):
                    raise
                if not may_pass(error) or time.monotonic() >= until:
                    raise translate(error) from error
                await asyncio.sleep(BREATH)

    async def _send(self, operation: Operation[Any]) -> Any:
        known, client, rest = operation.script, await self._ready(), _rest(operation)
        try:
            reply = await client.execute_command("EVALSHA", known.sha, *rest, NEVER_DECODE=True)
        except NoScriptError:
            if known.sha in self._met and _wants_check(client, operation, self._first):
                await self._check()
            reply = await client.execute_command("EVAL", known.source, *rest, NEVER_DECODE=True)
        self._met.add(known.sha)
        return reply

    async def _ready(self) -> Any:
        """Return the client, which knows whom to ask."""
        client = self._usable()
        if self._clustered and not client.get_nodes():  # or what else begins meanwhile goes to any node
            await client.initialize()
        if self._primary is not None and self._primary.is_due(client):
            with self._primary.asking(client):
                await client.connection_pool.get_master_address()
        return client

    async def scan(self, page: Scan) -> Scanned:
        """Read a page of the names of keys, after the namespace's check as `execute` does it."""
        if not self._checked:
            await self._check()
        return await self._patiently(self._scan, page)

    async def _scan(self, page: Scan) -> Scanned:
        client = await self._ready()
        page = scanning.begun(client, page)
        return scanning.scanned(page, await client.scan(**scanning.arguments_of(client, page), NEVER_DECODE=True))

    async def subscribe(self, channels: list[bytes]) -> Any:
        """Return a subscription, confirmed, to *channels*."""
        return await self._patiently(self._subscribe, channels)

    async def _subscribe(self, channels: list[bytes]) -> Any:
        client = await self._ready()
        if not hasattr(client, "pubsub"):  # the async cluster client before redis-py 8
            raise StoreUnsupported("a client without pubsub found, redis-py 8 or later wanted: events are heard by it")
        if self._clustered:  # the client knows by an answer only whether that node is still there
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
            with in_our_words():
                message = await pubsub.get_message(timeout=timeout)
        except UnicodeDecodeError:  # not ours
            return None
        return payload_of(message, pubsub.encoder)

    async def ping(self, pubsub: Any) -> None:
        """Ask the server for a word on a subscription."""
        with in_our_words():
            await pubsub.ping()

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


def _wants_check(client: Any, operation: Operation[Any], first: Operation[None]) -> bool:
    """Tell whether a server that lost its scripts may have lost the record of the namespace with them."""
    return operation is not first and connect.on_one_server(client, operation.keys[0], first.keys[0])


def _rest(operation: Operation[Any]) -> tuple[Any, ...]:
    return len(operation.keys), *operation.keys, *operation.args


def reply_options(client: Any) -> dict[str, bool]:
    """Return the options of a command whose reply is to stay bytes; a client that decodes none anyway needs none."""
    return {"NEVER_DECODE": True} if client.get_encoder().decode_responses else {}


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
