"""Private exports put into a module before it is compiled, so that the host can reach its state.

Mutable globals are exported, so that a snapshot can tell whether state hides in them (spec/06
§1.5); so are tables and a memory that the module keeps to itself. The start function is exported
in place of being declared, so that it runs when the instance can already serve its imports
(spec/06 §1.1). The image's id stays that of the original bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm.binary import Reader, Section
from hyperbeam_trio.devices.wasm.layout import KINDS, Kind, Layout

PREFIX = "hyperbeam-trio:"


@dataclass(frozen=True, slots=True)
class Exposure:
    """Under which names the module's inner parts are exported; None for what it has not."""

    memory: str | None
    start: str | None
    tables: tuple[str, ...]
    globals: tuple[str, ...]


def expose(sections: list[Section], layout: Layout) -> tuple[list[Section], Exposure]:
    """`sections` with private exports for the parts of `layout` that the host needs."""
    added: list[bytes] = []
    prefix = _free_prefix(layout)

    def export(kind: Kind, index: int, always: bool = False) -> str:
        name = None if always else layout.export_name(kind, index)
        if name is None:
            name = f"{prefix}{kind}:{index}"
            added.append(_entry(name, kind, index))
        return name

    mutable = [index for index, item in enumerate(layout.globals) if item.mutable]
    exposure = Exposure(
        memory=export("memory", 0) if layout.memories else None,
        start=None if layout.start is None else export("function", layout.start, always=True),
        tables=tuple(export("table", index) for index in range(len(layout.tables))),
        globals=tuple(export("global", index) for index in mutable),
    )
    return _rewritten(sections, added, layout.start is not None), exposure


def _rewritten(sections: list[Section], added: list[bytes], has_start: bool) -> list[Section]:
    if added:
        sections = binary.with_section(sections, binary.EXPORT, _exports(sections, added))
    if has_start:
        sections = [(section, data) for section, data in sections if section != binary.START]
    return sections


def _exports(sections: list[Section], added: list[bytes]) -> bytes:
    present = next((data for section, data in sections if section == binary.EXPORT), b"\x00")
    reader = Reader(present)
    count = reader.unsigned() + len(added)
    return binary.unsigned(count) + present[reader.at :] + b"".join(added)


def _entry(name: str, kind: Kind, index: int) -> bytes:
    return binary.text(name) + bytes([KINDS.index(kind)]) + binary.unsigned(index)


def _free_prefix(layout: Layout) -> str:
    prefix = PREFIX
    while any(export.name.startswith(prefix) for export in layout.exports):
        prefix += ":"
    return prefix
