"""What `redisess check` finds: the server, how it evicts, what a namespace holds. No live session is changed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoPermissionError

from redisess_cli.location import reaching, shown
from redisess_cli.namespace import Finding, check_location, layout_of, record_of, recorded_manager
from redisess_core import SessionManager
from redisess_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SAMPLE: Final = 1000  # sessions that are asked for their timeout
_RECENT: Final = 60  # seconds


def findings(url: str, namespace: str) -> Iterator[Finding]:
    """Look, line by line. Raises `RedisessError` or `ValueError` where there is nothing to look at."""
    check_location(url, namespace)
    with reaching(url):
        with SessionManager(url, namespace=namespace) as unused:  # its first operation would write the record
            yield from _server(unused.client, url)
            record = record_of(unused.client, namespace)
        yield layout_of(namespace, record)
        if record is not None:
            with recorded_manager(url, namespace, record) as manager:
                yield from _sessions(manager)


def _server(client: Any, url: str) -> Iterator[Finding]:
    info = _info(client, "server")
    product = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version") or "of a version that it does not tell"
    yield Finding("Server", f"{product} {version} at {shown(url)}")
    policy = _info(client, "memory").get("maxmemory_policy")
    if policy == "noeviction":
        yield Finding("Eviction", "noeviction")
    elif policy is None:
        yield Finding("Eviction", "the server does not tell; maxmemory-policy noeviction wanted")
    else:
        yield Finding("Eviction", f"{policy}: sessions can be lost, set maxmemory-policy to noeviction", sound=False)


def _info(client: Any, section: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = client.info(section)
    except NoPermissionError:  # not this user's to ask
        return {}
    return found


def _sessions(manager: SessionManager) -> Iterator[Finding]:
    yield Finding("Sessions", f"{manager.count()} live, {manager.count(_RECENT)} active in the last {_RECENT} seconds")
    yield Finding("Users", f"{manager.count_users()} signed in, {manager.count_users(_RECENT)} active")
    sample = list(islice(manager.iter_sessions(), _SAMPLE))
    if sample:
        looked_at = f"(of {counted(len(sample), 'session')} looked at)"
        yield Finding("Idle timeout", f"{_each(session.ttl for session in sample)} {looked_at}")
        yield Finding("Max lifetime", f"{_each(session.own_lifetime for session in sample)} {looked_at}")


def _each(timeouts: Iterable[float | None]) -> str:
    return ", ".join(f"{secs:g} s" if secs else "none" for secs in sorted({secs or 0 for secs in timeouts}))
