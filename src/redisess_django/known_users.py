"""The project's users, found by the ids that sessions have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from redisess_django.users import user_id_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def user_model() -> type[Any] | None:
    """Return the model of the project's users; None: it has none in its database."""
    return get_user_model() if apps.is_installed("django.contrib.auth") else None


def key_of(user_id: str) -> Any:
    """Return what the database knows a user of this id by; None: there can be no such user."""
    field: Any = get_user_model()._meta.pk
    try:
        key = field.to_python(user_id)
        field.run_validators(key)  # a number beyond the column's is in no database, and some drivers fail at one
    except ValidationError:
        return None
    return None if "\0" in user_id else key  # which no database takes


def users_by_id(user_ids: Iterable[str]) -> dict[str, Any]:
    """Find users in one query. An id that is none of this project's, or not as it writes it, finds nobody."""
    model: Any = user_model()
    if model is None:
        return {}
    keys = [key for key in map(key_of, user_ids) if key is not None]
    found: dict[Any, Any] = model._base_manager.in_bulk(keys) if keys else {}
    return {user_id_of(user): user for user in found.values()}
