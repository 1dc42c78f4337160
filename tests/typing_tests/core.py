"""The types of the core as users write it: checked by mypy and pyright, never run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, assert_type
from uuid import UUID

import redis
import redis.asyncio

from redisess_core import (
    AsyncEvents,
    AsyncSession,
    AsyncSessionManager,
    EventKind,
    EventReason,
    Events,
    NamespaceMismatch,
    RedisessError,
    Session,
    SessionDataTooLarge,
    SessionEvent,
    SessionGone,
    SessionLimitReached,
    SessionManager,
    StoreUnavailable,
    StoreUnsupported,
    Verification,
    register_type,
)


def options() -> None:
    manager = SessionManager(
        redis.Redis(),
        namespace="sessions",
        additional_fields=["role", "theme"],
        ttl=1800.5,
        max_lifetime=None,
        touch_interval=0,
        max_sessions_per_user=5,
        on_limit="refuse",
        record_client=False,
        max_data_bytes=4096,
        shards=8,
        clock=time.time,
    )
    assert_type(manager.namespace, str)
    assert_type(manager.additional_fields, tuple[str, ...])
    assert_type(manager.ttl, float)
    assert_type(manager.max_lifetime, float | None)
    assert_type(manager.touch_interval, float)
    assert_type(manager.max_sessions_per_user, int | None)
    assert_type(manager.record_client, bool)
    assert_type(manager.max_data_bytes, int)
    assert_type(manager.shards, int)
    assert_type(AsyncSessionManager(redis.asyncio.Redis()).ttl, float)
    SessionManager(redis.Redis(), on_limit="drop")  # type: ignore[arg-type]
    SessionManager(redis.asyncio.Redis())  # type: ignore[arg-type]
    AsyncSessionManager(redis.Redis())  # type: ignore[arg-type]
    SessionManager("memory://", no_such_option=1)  # type: ignore[call-arg]


def blocking() -> None:
    with SessionManager("redis://localhost", additional_fields=("role",)) as manager:
        assert_type(manager, SessionManager)
        session = manager.create("ada", ttl=60, max_lifetime=0, data={"cart": [1]}, ip=None, role="admin")
        assert_type(session, Session)
        assert_type(manager.create(None), Session)
        assert_type(manager.create(42), Session)
        assert_type(manager.create(UUID(int=1)), Session)
        assert_type(manager.authenticate("token", touch=False), Session | None)
        assert_type(manager.get("session id"), Session | None)
        assert_type(manager.exists("session id"), bool)
        assert_type(manager.count(), int)
        assert_type(manager.count(60), int)
        assert_type(manager.count_for_user("ada", secs=60.5), int)
        assert_type(manager.count_users(), int)
        assert_type(manager.get_all_sessions(), list[str])
        assert_type(manager.get_user_sessions("ada"), list[str])
        assert_type(manager.get_all_users(), list[str])
        assert_type(manager.get_oldest_user_session("ada"), Session | None)
        assert_type(manager.list_user_sessions("ada"), list[Session])
        assert_type(manager.iter_sessions(), Iterator[Session])
        assert_type(manager.iter_users(60), Iterator[str])
        assert_type(manager.rotate(session), Session)
        assert_type(manager.rotate(session, user_id="ada", ttl=60, role="user"), Session)
        assert_type(manager.kill("session id", user_id=7), bool)
        assert_type(manager.kill_user("ada"), int)
        assert_type(manager.kill_user("ada", keep="session id"), int)
        assert_type(manager.kill_user("ada", keep=["session id"]), int)
        assert_type(manager.kill_all(), int)
        assert_type(manager.wipe(), int)
        assert_type(manager.verify(), Verification)
        assert_type(manager.verify(repair=True).drift, int)
        assert_type(manager.now(), float)
        for each in manager.iter_sessions():
            assert_type(each, Session)
        for user_id in manager.iter_users():
            assert_type(user_id, str)
        with manager.events() as events:
            assert_type(events, Events)
            for event in events:
                assert_type(event, SessionEvent)
        manager.quit()
        manager.close()


def session_of(manager: SessionManager) -> None:
    session = manager.authenticate("token")
    if session is None:
        return
    assert_type(session, Session)
    assert_type(session.session_id, str)
    assert_type(session.token, str | None)
    assert_type(session.user_id, str | None)
    assert_type(session.ttl, float)
    assert_type(session.created, float)
    assert_type(session.authenticated_at, float | None)
    assert_type(session.last_access, float)
    assert_type(session.expires, float)
    assert_type(session.expires_in, float)
    assert_type(session.idle, float)
    assert_type(session.valid, bool)
    assert_type(session.ip, str | None)
    assert_type(session.user_agent, str | None)
    assert_type(session.fields, dict[str, Any])
    assert_type(session.data, Mapping[str, Any])
    session.ttl = 60
    session.role = "admin"
    assert_type(session.read(), bool)
    session.write()
    assert_type(session.kill(), bool)
    assert_type(session.get_all(), dict[str, Any])
    assert_type(session.set("key", 1), int)
    assert_type(session.set({"key": 1, "other": [2]}), int)
    assert_type(session.delete("key", "other"), int)
    session.get("key")
    session.get("key", 7)
    session.get(["key", "other"])
    session.get({"key": 7})
    session.delete(7)  # type: ignore[arg-type]
    session.data["key"] = 1  # type: ignore[index]
    session.token = "another"  # type: ignore[misc]


async def awaiting() -> None:
    async with AsyncSessionManager("redis://localhost", additional_fields=("role",)) as manager:
        assert_type(manager, AsyncSessionManager)
        session = await manager.create("ada", ttl=60, max_lifetime=0, data={"cart": [1]}, role="admin")
        assert_type(session, AsyncSession)
        assert_type(await manager.create(None), AsyncSession)
        assert_type(await manager.create(42), AsyncSession)
        assert_type(await manager.authenticate("token", touch=False), AsyncSession | None)
        assert_type(await manager.get("session id"), AsyncSession | None)
        assert_type(await manager.exists("session id"), bool)
        assert_type(await manager.count(), int)
        assert_type(await manager.count_for_user("ada", 60), int)
        assert_type(await manager.count_users(secs=60), int)
        assert_type(await manager.get_all_sessions(), list[str])
        assert_type(await manager.get_user_sessions("ada"), list[str])
        assert_type(await manager.get_all_users(), list[str])
        assert_type(await manager.get_oldest_user_session("ada"), AsyncSession | None)
        assert_type(await manager.list_user_sessions("ada"), list[AsyncSession])
        assert_type(manager.iter_sessions(), AsyncIterator[AsyncSession])
        assert_type(manager.iter_users(), AsyncIterator[str])
        assert_type(await manager.rotate(session, user_id="ada", role="user"), AsyncSession)
        assert_type(await manager.kill("session id"), bool)
        assert_type(await manager.kill_user("ada", keep=("session id",)), int)
        assert_type(await manager.kill_all(), int)
        assert_type(await manager.wipe(), int)
        assert_type(await manager.now(), float)
        async for each in manager.iter_sessions():
            assert_type(each, AsyncSession)
        async for user_id in manager.iter_users():
            assert_type(user_id, str)
        async with manager.events() as events:
            assert_type(events, AsyncEvents)
            async for event in events:
                assert_type(event, SessionEvent)
        await manager.quit()
        await manager.aclose()
        assert_type(await session.read(), bool)
        await session.write()
        assert_type(await session.kill(), bool)
        assert_type(await session.get_all(), dict[str, Any])
        assert_type(await session.set("key", 1), int)
        assert_type(await session.delete("key"), int)
        assert_type(session.expires_in, float)
        assert_type(session.data, Mapping[str, Any])


async def colours_do_not_mix(manager: SessionManager, other: AsyncSessionManager, session: Session) -> None:
    await manager.count()  # type: ignore[misc]
    await other.rotate(session)  # type: ignore[arg-type]
    manager.authenticate()  # type: ignore[call-arg]
    manager.authenticate(b"token")  # type: ignore[arg-type]
    manager.get("session id", True)  # type: ignore[call-arg]
    manager.kill_user()  # type: ignore[call-arg]
    manager.create(1.5)  # type: ignore[arg-type]
    for _ in other.iter_sessions():  # type: ignore[attr-defined]
        pass


def events(event: SessionEvent) -> str:
    assert_type(event.kind, EventKind)
    assert_type(event.session_id, str)
    assert_type(event.user_id, str | None)
    assert_type(event.at, float)
    assert_type(event.reason, EventReason | None)
    assert_type(event.successor, str | None)
    match event.kind:
        case EventKind.CREATED | EventKind.ROTATED:
            return "begins"
        case EventKind.KILLED | EventKind.EXPIRED:
            return "ends"


def errors(manager: SessionManager) -> None:
    try:
        manager.create("ada")
    except SessionLimitReached as error:
        assert_type(error.user_id, str)
        assert_type(error.limit, int)
    except SessionDataTooLarge as error:
        assert_type(error.size, int)
        assert_type(error.limit, int)
    except SessionGone as error:
        assert_type(error.session_id, str)
    except (NamespaceMismatch, StoreUnavailable, StoreUnsupported) as error:
        base: RedisessError = error
        raise base from None


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


register_type(Money, "money", lambda money: money.cents, Money)
