"""What becomes of a user's sessions when the user does: on a new password, a deactivation, a deletion.

They end when that is committed: what is rolled back signs nobody out, and who signed in meanwhile, by what the database
said until then, is signed out.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from redisess_core import StoreUnavailable
from redisess_django.conf import manager, option
from redisess_django.current import current_session

_log: Final = logging.getLogger("redisess")


def connect() -> None:
    """Follow the project's users, whichever class of theirs is saved."""
    post_save.connect(_saved, dispatch_uid="redisess_django.users")
    post_delete.connect(_deleted, dispatch_uid="redisess_django.users")


def user_id_of(user: Any) -> str:
    """Return a user's id as it is in the session's data: of a model's instance by its key, else what is given."""
    return str(user._meta.pk.value_to_string(user)) if isinstance(user, Model) else user


def _saved(
    *, instance: Any, created: bool, raw: bool, using: str, update_fields: frozenset[str] | None, **_: object
) -> None:
    if raw or created or not isinstance(instance, get_user_model()):
        return
    if getattr(instance, "is_active", True) is False:
        transaction.on_commit(partial(_end_all, user_id_of(instance)), using=using)
    elif option("END_ON_PASSWORD_CHANGE") and _password_changed(instance, update_fields):
        transaction.on_commit(partial(_end_others, user_id_of(instance)), using=using)


def _deleted(*, instance: Any, using: str, **_: object) -> None:
    if isinstance(instance, get_user_model()):
        transaction.on_commit(partial(_end_all, user_id_of(instance)), using=using)


def _password_changed(user: Any, update_fields: frozenset[str] | None) -> bool:
    """Whether `set_password` was called since the last save; an upgrade of the hash is no change, and says so."""
    return getattr(user, "_password", None) is not None and (update_fields is None or "password" in update_fields)


def _end_all(user_id: str) -> None:
    _kill(user_id)
    store = current_session()
    if store is not None and store.user_id == user_id:
        store.forget()  # or what the view does next would be a write to a session that is gone


def _end_others(user_id: str) -> None:
    store = current_session()
    current = None if store is None else store.current
    _kill(user_id, keep=None if current is None else current.session_id)


def _kill(user_id: str, *, keep: str | None = None) -> None:
    try:
        manager().kill_user(user_id, keep=keep)
    except StoreUnavailable:
        _log.error("user %s changed, but the sessions to be ended live on: end them by redisess_kill_user", user_id)
        raise
