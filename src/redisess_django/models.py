"""The model behind the admin's pages: a name for permissions and for the admin's log. It has no table, and no rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    _Manager = models.Manager["Session"]
else:
    _Manager = models.Manager


class NoRows(_Manager):
    """Finds nothing and asks no database, so that what goes through all models (`dumpdata`) passes this one."""

    def get_queryset(self) -> models.QuerySet[Session]:
        """Return no row."""
        return super().get_queryset().none()


class Session(models.Model):
    """A session in Redis, as the admin names it; sessions themselves are `redisess_core`'s."""

    session_id: models.CharField[str, str] = models.CharField(_("session id"), max_length=64, primary_key=True)
    objects = NoRows()
    user_id: str | None = None  # whose it is; None: nobody's, or of many
    described = ""  # what stands in the admin's log

    @classmethod
    def entry(cls, described: str, *, session_id: str = "", user_id: str | None = None) -> Session:
        """Make what stands for one session, or for several, where permissions are asked for and in the admin's log."""
        made = cls(session_id=session_id)
        made.described, made.user_id = described, user_id
        return made

    class Meta:
        """No table: nothing to make, nothing to migrate."""

        managed = False
        default_permissions = ("view", "delete")
        base_manager_name = "objects"
        verbose_name = _("live session")
        verbose_name_plural = _("live sessions")

    def __str__(self) -> str:
        return self.described or self.session_id
