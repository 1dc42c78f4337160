"""Clients of redis-py by URL: of a server, or of a cluster, of which `redis+cluster://` names the nodes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.cluster import ClusterNode

CLUSTER = "redis+cluster"


def is_of_a_cluster(url: str) -> bool:
    """Whether *url* names the nodes of a cluster."""
    return urlsplit(url).scheme == CLUSTER


def client_of(url: str, **options: Any) -> Any:
    """Make a blocking client."""
    if not is_of_a_cluster(url):
        return redis.Redis.from_url(url, **options)
    nodes, said = _read(url)
    return redis.RedisCluster(startup_nodes=[ClusterNode(*node) for node in nodes], **said | options)


def async_client_of(url: str, **options: Any) -> Any:
    """Make an async client, in the running loop."""
    if not is_of_a_cluster(url):
        return redis.asyncio.Redis.from_url(url, **options)
    nodes, said = _read(url)
    return redis.asyncio.RedisCluster(startup_nodes=[AsyncClusterNode(*node) for node in nodes], **said | options)


def clients_at(client: Any) -> list[dict[str, str]]:
    """List the clients of the server that *client* is one of, or of all nodes of its cluster."""
    if not isinstance(client, redis.RedisCluster):
        return client.client_list()
    return [
        each for of_node in client.client_list(target_nodes=redis.RedisCluster.ALL_NODES).values() for each in of_node
    ]


def subscribers(client: Any, channel: str) -> int:
    """Count who listens to a channel, on every node of a cluster."""
    servers = [client]
    if isinstance(client, redis.RedisCluster):
        servers = [client.get_redis_connection(node) for node in client.get_nodes()]
    return sum(number for server in servers for _, number in server.pubsub_numsub(channel))


def publish(client: Any, channel: str, message: str | bytes) -> int:
    """Publish as the scripts do: from the node of a cluster that has the shard."""
    return client.eval("return redis.call('PUBLISH', KEYS[1], ARGV[1])", 1, channel, message)


def _read(url: str) -> tuple[list[tuple[str, int]], dict[str, float]]:
    parts = urlsplit(url)
    named = (node.rpartition(":") for node in parts.netloc.split(","))
    return [(host, int(port)) for host, _, port in named], {key: float(said) for key, said in parse_qsl(parts.query)}
