"""What becomes of a user's sessions when the user does: on a new password, a deactivation, a deletion.

They end when that is committed: what is rolled back signs nobody out. Who is just signing in then, by what the database
said before, gets a session all the same, which Django refuses: its `request.user` is nobody.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import class_prepared, post_delete, post_save, pre_save

from redisess_core import StoreUnavailable
from redisess_django.conf import manager, option
from redisess_django.current import current_session

_log: Final = logging.getLogger("redisess")


def connect() -> None:
    """Follow the project's users, and them alone: of what is followed, Django loads each row that it deletes."""
    class_prepared.connect(_follow)
    for model in apps.get_models():
        _follow(model)


def _follow(sender: Any, **_: object) -> None:
    if issubclass(sender, get_user_model()):
        pre_save.connect(_saving, sender)
        post_save.connect(_saved, sender)
        post_delete.connect(_deleted, sender)


def user_id_of(user: Any) -> str:
    """Return a user's id as it is in the session's data: of a user of the database by the key, else what is given."""
    if not isinstance(user, Model):
        return user  # type: ignore[no-any-return]  # who takes it looks at it
    if not isinstance(user, get_user_model()):
        raise TypeError(f"user: {type(user).__name__} given, a user wanted, or the id of one")
    return str(user._meta.pk.value_to_string(user))


def _saving(*, instance: Any, raw: bool, using: str, update_fields: frozenset[str] | None, **_: object) -> None:
    """Keep, until it is saved, what the database holds of what is followed."""
    model: Any = get_user_model()
    columns = {field.attname for field in model._meta.concrete_fields}
    followed = ("is_active", "password") if option("END_ON_PASSWORD_CHANGE") else ("is_active",)
    names = [name for name in followed if name in columns and (update_fields is None or name in update_fields)]
    instance._redisess_stored = {}
    if names and not raw and not instance._state.adding:
        instance._redisess_stored = model._base_manager.using(using).filter(pk=instance.pk).values(*names).first() or {}


def _saved(*, instance: Any, using: str, update_fields: frozenset[str] | None, **_: object) -> None:
    stored: dict[str, Any] = instance._redisess_stored
    if stored.get("is_active") and not instance.is_active:
        transaction.on_commit(partial(_end_all, user_id_of(instance)), using=using)
    elif "password" in stored and stored["password"] != instance.password and not _is_upgrade(instance, update_fields):
        transaction.on_commit(partial(_end_others, user_id_of(instance)), using=using)


def _deleted(*, instance: Any, using: str, **_: object) -> None:
    transaction.on_commit(partial(_end_all, user_id_of(instance)), using=using)


def _is_upgrade(user: Any, update_fields: frozenset[str] | None) -> bool:
    """Whether `check_password` renewed the hash, which is no change: it sets a password, and unsets what it was."""
    unset = "_password" in user.__dict__ and user._password is None
    return unset and update_fields == frozenset({"password"}) and user.has_usable_password()


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
