"""What a VM is given in many calls: converted once, and lent as a copy to each (spec/06 §5.5).

The program may change its copy. Where it gives that back as it was, nothing has to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lupa import lua53

from hyperbeam_trio.devices.lua_vm.values import Lasting, Reader, alike, is_table, to_lua

_ANY: Final = 1 << 62
"""More items than anything has."""


class Lender:
    """Lends one `Lasting` at a time to the calls of one VM."""

    def __init__(self, runtime: lua53.LuaRuntime, entry: Mapping[str, Any]) -> None:
        self._runtime = runtime
        self._entry = entry
        self._kept: Lasting | None = None
        self._items: int | None = None
        self._lent = False

    def into(self, arguments: Sequence[Any]) -> list[Any]:
        """The arguments of a call, each as `to_lua` makes it."""
        self._lent = False
        return [to_lua(self._runtime, argument, self._lend) for argument in arguments]

    def read(self, reader: Reader, result: Any) -> Any:
        """A result of the call as `Reader.read` gives it, what was lent as what it was made of."""
        known, items = self._kept, self._items
        if self._lent and known is not None and items is not None and is_table(result):
            key = self._entry["returned"](result)
            if type(key) is bytes:
                return reader.read_around(result, key, known, items)
        return reader.read(result)

    def _lend(self, value: Lasting) -> Any:
        if value is not self._kept:
            self._keep(value)
        self._lent = True
        return self._entry["lend"]()

    def _keep(self, value: Lasting) -> None:
        # One level down, as it will be lent, so that the same depth is too deep.
        table = to_lua(self._runtime, {"lent": dict(value)})
        reader = Reader(_ANY)
        # What would not come back as it went in is read each time.
        sound = alike(reader.read(table), {"lent": value})
        self._items = _ANY - reader.left - 1 if sound else None
        self._entry["keep"](table[b"lent"])
        self._kept = value
