"""URLs of Redis: which there are, what each says, and what is wrong with one."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

import redis
import redis.asyncio
import redis.connection

SCHEMES: Final = (
    *("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"),
    "memory",
)
_SCHEMES_SAID: Final = ", ".join(f"{scheme}://" for scheme in SCHEMES[:-1]) + f" or {SCHEMES[-1]}://"
_LIKE_A_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*")
_UNKNOWN_OPTION: Final = re.compile(r"unexpected keyword argument ('\w+')")
_SERVICE: Final = re.compile(r"[A-Za-z0-9._-]+")  # as sentinels take it
_PORTS: Final = {"cluster": 6379, "sentinel": 26379}
_LIKE: Final = {
    "": "redis://user:password@127.0.0.1:6379/0",
    "cluster": "redis+cluster://user:password@10.0.0.1:6379,10.0.0.2:6379",
    "sentinel": "redis+sentinel://user:password@10.0.0.1:26379,10.0.0.2:26379/service",
}


class Topology(Enum):
    """What a URL leads to."""

    SERVER = ""
    CLUSTER = "cluster"
    SENTINEL = "sentinel"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Location:
    """What a URL says: of a cluster some nodes, of a primary that sentinels name the sentinels and the service."""

    topology: Topology
    url: str
    addresses: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: dict[str, Any] | None = None  # of a connection, as redis-py names them


def check_url(url: str) -> Location:
    """Read *url*, if a client can be made from it; messages show nothing of it but its scheme and options."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        given = f" that begins with {scheme!r}" if separator and _LIKE_A_SCHEME.fullmatch(scheme) else ""
        raise ValueError(f"a URL{given} given, one that begins with {_SCHEMES_SAID} wanted")
    if scheme == "memory":
        if rest:
            raise ValueError("a URL with more than memory:// given: the embedded server has no name and no options")
        return Location(Topology.MEMORY, url)
    base, _, topology = scheme.partition("+")
    if topology:
        return _read_several(url, base, Topology(topology), rest)
    _check_parts(url)
    return Location(Topology.SERVER, url)


def _read_several(url: str, base: str, topology: Topology, rest: str) -> Location:
    """Read a URL with several addresses: redis-py knows those with one, so it reads all but the addresses."""
    place, marked, query = rest.partition("?")
    authority, _, path = place.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "@" in credentials + path + query:  # of a password that is not encoded, or more than one
        raise _wrong_place(topology)
    try:
        addresses = tuple(_address(host, _PORTS[topology.value]) for host in hosts.split(","))
    except ValueError:  # whose message shows what it took for a port
        raise _wrong_place(topology) from None
    service, _, database = path.partition("/") if topology is Topology.SENTINEL else ("", "", path)
    if topology is Topology.SENTINEL and not _SERVICE.fullmatch(service):
        raise ValueError(
            "a URL without the name of a service, of letters, digits and .-_, given, "
            f"one like {_LIKE['sentinel']} wanted"
        )
    single = f"{base}://{credentials}{at}127.0.0.1:1/{database}{marked}{query}"
    options = _check_parts(single, topology)
    for name in ("host", "port"):
        del options[name]
    if topology is Topology.CLUSTER:
        if options.pop("db", 0) != 0:
            raise ValueError("a URL with a database given: a cluster has but 0, which need not be said")
        unknown = options.keys() - inspect.signature(redis.asyncio.RedisCluster).parameters.keys()
        if unknown:
            raise ValueError(
                f"a URL with an unknown or wrong option given: {min(unknown)!r} is none of a cluster's client"
            )
    return Location(topology, url, addresses, service, options)


def _address(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.netloc != text:
        raise ValueError("no address")
    return parts.hostname, parts.port or port


def _check_parts(url: str, topology: Topology = Topology.SERVER) -> dict[str, Any]:
    """Make what a first command would make of the URL, short of the connection; return its options."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # whose message shows what it took for a port, which may be of a password
        raise _wrong_place(topology) from None
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():  # redis-py would take database 0
        raise ValueError("a URL with a wrong database given, a number behind the host wanted, as in redis://host/0")
    try:
        pool: Any = redis.ConnectionPool.from_url(url)  # pyright: ignore[reportUnknownMemberType]
        pool.connection_class(**pool.connection_kwargs)
        connection: Any = redis.connection  # whose parse_url is untyped
        options: dict[str, Any] = connection.parse_url(url)
    except (TypeError, ValueError, redis.RedisError) as error:
        unknown = _UNKNOWN_OPTION.search(str(error))
        said = f"{unknown[1]} is none that redis-py knows" if unknown else str(error)
        raise ValueError(f"a URL with an unknown or wrong option given: {said}") from None
    if "retry" in options:  # no option that a URL could say
        raise ValueError("a URL with the option 'retry' given: how often to try is not a URL's to say")
    for name in ("socket_timeout", "socket_connect_timeout"):
        if not 0 < options.get(name, 1) < math.inf:
            raise ValueError(f"a URL with {name}={options[name]:g} given, a positive number of seconds wanted")
    if options.pop("connection_class", None) is redis.SSLConnection:
        options["ssl"] = True
    return options


def _wrong_place(topology: Topology) -> ValueError:
    return ValueError(
        f"a URL with a wrong host or port given, like {_LIKE[topology.value]} wanted, "
        "with the special characters of a password percent-encoded"
    )
