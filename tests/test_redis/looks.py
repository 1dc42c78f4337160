"""Every way to look at what lives, and what it has to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Each way to look, and what it says of `live` sessions, their ids and their users.
LOOKS: dict[str, Callable[[Any], Any]] = {
    "count": lambda manager: manager.count(),
    "count of the last hour": lambda manager: manager.count(3600),
    "count_for_user": lambda manager: manager.count_for_user("ann"),
    "get_all_sessions": lambda manager: set(manager.get_all_sessions()),
    "get_user_sessions": lambda manager: set(manager.get_user_sessions("ann")),
    "list_user_sessions": lambda manager: {one.session_id for one in manager.list_user_sessions("ann")},
    "iter_sessions": lambda manager: {one.session_id for one in manager.iter_sessions()},
    "list_sessions": lambda manager: {one.session_id for one in manager.list_sessions()},
    "oldest": lambda manager: (oldest := manager.get_oldest_user_session("ann", touch=False)) and oldest.session_id,
    "count_users": lambda manager: manager.count_users(),
    "get_all_users": lambda manager: set(manager.get_all_users()),
    "iter_users": lambda manager: set(manager.iter_users()),
}


def expected(look: str, live: dict[str, str | None]) -> Any:
    """Say what a look has to find, where *live* are session ids with their users, the oldest first."""
    users = {user for user in live.values() if user is not None}
    anns = [session_id for session_id, user in live.items() if user == "ann"]
    return {
        "count": len(live),
        "count of the last hour": len(live),
        "count_for_user": len(anns),
        "get_all_sessions": set(live),
        "get_user_sessions": set(anns),
        "list_user_sessions": set(anns),
        "iter_sessions": set(live),
        "list_sessions": set(live),
        "oldest": anns[0] if anns else None,
        "count_users": len(users),
        "get_all_users": users,
        "iter_users": users,
    }[look]


def assert_all_looks(manager: Any, live: dict[str, str | None]) -> None:
    for name, look in LOOKS.items():
        assert look(manager) == expected(name, live), name


def assert_numbers_agree(manager: Any) -> None:
    """Compare what each index says with what there really is."""
    found = list(manager.iter_sessions())
    users = {one.user_id for one in found} - {None}
    assert {one.session_id for one in found} == set(manager.get_all_sessions())
    assert manager.count() == len(found)
    assert manager.count_users() == len(users)
    assert set(manager.get_all_users()) == set(manager.iter_users()) == users
    for user in users:
        its = {one.session_id for one in found if one.user_id == user}
        assert manager.count_for_user(user) == len(its)
        assert {one.session_id for one in manager.list_user_sessions(user)} == its
