"""What `redisess verify` finds: where the indexes of a namespace differ from its sessions; none of these is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redisess_cli.location import reaching
from redisess_cli.namespace import Finding, check_location, layout_of, record_of, recorded_manager
from redisess_core import SessionManager
from redisess_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redisess_core import Verification


def findings(url: str, namespace: str, *, repair: bool) -> Iterator[Finding]:
    """Compare, and say what differs, a line a kind. Raises `RedisessError` or `ValueError` where nothing can be."""
    check_location(url, namespace)
    with reaching(url):
        with SessionManager(url, namespace=namespace) as unused:  # its first operation would write the record
            record = record_of(unused.client, namespace)
        yield layout_of(namespace, record)
        if record is not None:
            with recorded_manager(url, namespace, record) as manager:
                yield from _told(manager.verify(repair=repair))


def _told(found: Verification) -> Iterator[Finding]:
    def line(name: str, number: int, noun: str, rest: str) -> Finding:
        return Finding(name, f"{counted(number, noun)} {rest}", sound=found.repaired or not number)

    yield Finding("Sessions", f"{found.sessions} live")
    yield Finding("Users", f"{found.users} signed in")
    yield line("Missing", found.missing, "entry", "that an index should have")
    yield line("Stray", found.stray, "entry", "that no live session stands behind")
    yield line("Misplaced", found.misplaced, "entry", "not at the time of the session")
    yield line("Early", found.early, "key", "that Redis would remove too early")
    yield line("Never", found.never, "key", "that Redis would never remove")
    yield _sum(found)


def _sum(found: Verification) -> Finding:
    if not found.drift:
        return Finding("Drift", "none")
    if found.repaired:
        return Finding("Drift", f"{found.drift}, repaired")
    return Finding("Drift", f"{found.drift}: --repair mends it", sound=False)
