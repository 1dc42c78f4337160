"""Every operation of the managers and of sessions, by name: `OPERATIONS[name](manager, session)`.

*manager* has the additional field `role`; *session* is a live session of the user ada with the data `{"a": 1}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def set_and_write(session: Any) -> None:
    session.role = "admin"
    session.write()


ONE_SESSION: dict[str, Callable[[Any, Any], Any]] = {
    "create": lambda manager, session: manager.create("ada", data={"b": 2}, role="user"),
    "create anonymous": lambda manager, session: manager.create(None),
    "authenticate": lambda manager, session: manager.authenticate(session.token),
    "authenticate without a touch": lambda manager, session: manager.authenticate(session.token, touch=False),
    "get": lambda manager, session: manager.get(session.session_id),
    "get without a touch": lambda manager, session: manager.get(session.session_id, touch=False),
    "exists": lambda manager, session: manager.exists(session.session_id),
    "rotate": lambda manager, session: manager.rotate(session),
    "rotate as a sign-in": lambda manager, session: manager.rotate(session, user_id="ada", role="admin"),
    "rotate to another user": lambda manager, session: manager.rotate(session, user_id="bob"),
    "kill": lambda manager, session: manager.kill(session.session_id),
    "kill by its owner": lambda manager, session: manager.kill(session.session_id, user_id="ada"),
    "session.read": lambda manager, session: session.read(),
    "session.write": lambda manager, session: set_and_write(session),
    "session.write of nothing": lambda manager, session: session.write(),
    "session.kill": lambda manager, session: session.kill(),
    "session.get": lambda manager, session: session.get("a"),
    "session.get of several": lambda manager, session: session.get(["a", "b"]),
    "session.get of defaults": lambda manager, session: session.get({"a": 0, "b": 0}),
    "session.set": lambda manager, session: session.set("a", 2),
    "session.set of several": lambda manager, session: session.set({"a": 2, "b": 3}),
    "session.delete": lambda manager, session: session.delete("a", "b"),
    "session.get_all": lambda manager, session: session.get_all(),
}
ONE_USER: dict[str, Callable[[Any, Any], Any]] = {
    "count_for_user": lambda manager, session: manager.count_for_user("ada"),
    "count_for_user of late": lambda manager, session: manager.count_for_user("ada", 60),
    "get_user_sessions": lambda manager, session: manager.get_user_sessions("ada"),
    "list_user_sessions": lambda manager, session: manager.list_user_sessions("ada"),
    "get_oldest_user_session": lambda manager, session: manager.get_oldest_user_session("ada"),
    "kill_user": lambda manager, session: manager.kill_user("ada"),
    "kill_user but one": lambda manager, session: manager.kill_user("ada", keep=session.session_id),
}
NAMESPACE: dict[str, Callable[[Any, Any], Any]] = {
    "count": lambda manager, session: manager.count(),
    "count of late": lambda manager, session: manager.count(60),
    "count_users": lambda manager, session: manager.count_users(),
    "get_all_sessions": lambda manager, session: manager.get_all_sessions(),
    "get_all_users": lambda manager, session: manager.get_all_users(),
    "iter_sessions": lambda manager, session: list(manager.iter_sessions()),
    "iter_users": lambda manager, session: list(manager.iter_users()),
    "list_sessions": lambda manager, session: manager.list_sessions(),
    "kill_all": lambda manager, session: manager.kill_all(),
    "wipe": lambda manager, session: manager.wipe(),
    "now": lambda manager, session: manager.now(),
}
OPERATIONS = {**ONE_SESSION, **ONE_USER, **NAMESPACE}


def new_session(manager: Any) -> Any:
    """Make a session as `OPERATIONS` wants one."""
    return manager.create("ada", data={"a": 1}, role="user")


def run_every_operation(manager: Any) -> None:
    """Run each once, so that the server knows every script."""
    for operation in OPERATIONS.values():
        operation(manager, new_session(manager))
