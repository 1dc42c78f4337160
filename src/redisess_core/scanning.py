"""The names of a server's keys, by pages: of a cluster, one primary after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from redisess_core import connect
from redisess_core.errors import StoreUnavailable
from redisess_core.operation import Scan, Scanned

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALONE: Final = ""  # the one node where there is no cluster


def begun(client: Any, page: Scan) -> Scan:
    """Return *page* with the nodes that are to be read; of a cluster, its primaries."""
    if page.nodes is not None:
        return page
    if not connect.is_cluster(client):
        return replace(page, nodes=(_ALONE,))
    return replace(page, nodes=tuple(sorted(node.name for node in client.get_primaries())))


def arguments_of(client: Any, page: Scan) -> Mapping[str, Any]:
    """Return what the client's `scan` takes to read *page*."""
    arguments = {"cursor": page.cursor, "match": page.match, "count": page.count}
    name = (page.nodes or (_ALONE,))[0]
    if name == _ALONE:
        return arguments
    node = client.get_node(node_name=name)
    if node is None:  # what it held is read of whoever holds it now, or is missed: not to be passed over
        raise StoreUnavailable(f"the cluster has no node {name} any more, whose keys were being read: begin again")
    return {**arguments, "target_nodes": node}


def scanned(page: Scan, reply: Any) -> Scanned:
    """Read the reply to *page*: names, and the page that follows."""
    cursor, keys = reply
    if page.nodes != (_ALONE,):  # of a cluster: by node, here of one
        (cursor,) = cursor.values()
    if cursor:
        return Scanned(keys, replace(page, cursor=cursor))
    left = (page.nodes or ())[1:]
    return Scanned(keys, replace(page, cursor=0, nodes=left) if left else None)
