"""The session as a mapping of session data: what a dict can do, each read and each write noticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from redisess_core.web.request_data import RequestData

TOO_LATE: Final = (
    "the session was changed after its response began, where nothing can be sent to the client: "
    "change it earlier, or store it earlier with save()"
)


class RequestMapping(MutableMapping[str, Any]):
    """A mapping over the data of a request; who derives from it says what a read and a write need."""

    _data: RequestData

    def _read(self) -> None:
        """Notice a read; raises where there is nothing to read."""
        raise NotImplementedError

    def _write(self) -> None:
        """Notice a write; raises where it would come too late."""
        raise NotImplementedError

    def __getitem__(self, key: str) -> Any:
        self._read()
        return self._data.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._write()
        self._data.set(key, value)

    def __delitem__(self, key: str) -> None:
        self._write()
        self._data.delete(key)

    def __contains__(self, key: object) -> bool:
        self._read()
        return self._data.has(key)

    def __iter__(self) -> Iterator[str]:
        self._read()
        return iter(self._data.keys())

    def __reversed__(self) -> Iterator[str]:
        self._read()
        return reversed(self._data.keys())

    def __len__(self) -> int:
        self._read()
        return len(self._data.keys())

    def copy(self) -> dict[str, Any]:
        """Return the data as a dict."""
        return dict(self)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key and return it with its value, as a dict does; raises `KeyError` if there is none."""
        for key in reversed(self):
            return key, self.pop(key)
        raise KeyError("the session holds no data")

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self
