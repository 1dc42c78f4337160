"""What becomes of a user's sessions when the user does: on a new password, a deactivation, a deletion.

They end when that is committed: what is rolled back signs nobody out. Who is just signing in then, by what the database
said before, gets a session all the same, which Django refuses: its `request.user` is nobody.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import class_prepared, post_delete, post_save, pre_save

from redisess_core import StoreUnavailable
from redisess_django.conf import manager, option
from redisess_django.current import current_session

if TYPE_CHECKING:
    from redisess_django.state import StoreState

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
    model: Any = get_user_model()
    if not isinstance(user, model):
        raise TypeError(f"user: {type(user).__name__} given, a user wanted, or the id of one")
    return str(model._meta.pk.value_to_string(user))  # not the subclass's own


def _saving(*, instance: Any, raw: bool, using: str, update_fields: frozenset[str] | None, **_: object) -> None:
    """Keep, until it is saved, the password that the database holds, if that may be about to change."""
    stored = None
    if not raw and not instance._state.adding and _writes("password", update_fields):
        key = {"pk": user_id_of(instance)}
        stored = get_user_model()._base_manager.using(using).filter(**key).values_list("password", flat=True).first()
    instance.__dict__.setdefault("_redisess_stored", []).append(stored)  # a receiver of it may save it once more


def _saved(
    *, instance: Any, created: bool, raw: bool, using: str, update_fields: frozenset[str] | None, **_: object
) -> None:
    waiting = instance.__dict__.get("_redisess_stored")
    stored: str | None = waiting.pop() if waiting else None  # who sends the signal by hand has saved nothing
    if created or raw:
        return
    if _writes("is_active", update_fields) and not instance.is_active:
        transaction.on_commit(partial(_end_all, user_id_of(instance)), using=using)
    elif stored is not None and stored != instance.password and not _is_upgrade(instance, update_fields):
        transaction.on_commit(partial(_end_others, user_id_of(instance)), using=using)


def _writes(name: str, update_fields: frozenset[str] | None) -> bool:
    """Whether a save writes this field, of those that a user's class has."""
    if name == "password" and not option("END_ON_PASSWORD_CHANGE"):
        return False
    known = {field.attname for field in get_user_model()._meta.concrete_fields}
    return name in known and (update_fields is None or name in update_fields)


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
    _kill(user_id, keep=current_session())


def _kill(user_id: str, *, keep: StoreState | None = None) -> None:
    try:
        current = None if keep is None else keep.current
        manager().kill_user(user_id, keep=None if current is None else current.session_id)
    except StoreUnavailable:
        _log.error("user %s changed, but the sessions to be ended live on: end them by redisess_kill_user", user_id)
        raise
