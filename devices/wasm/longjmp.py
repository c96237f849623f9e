"""Emscripten's setjmp and longjmp without Python on the path (spec/06 §7.4).

Emscripten calls a function that may longjmp through an import `invoke_*`, which gets a table slot
and the function's arguments, and must come back normally after a longjmp with `setThrew(1, 0)`
called and the stack pointer as before. Two helper modules do it. The outer one exists before the
guest: it gives the guest its `invoke_*`, which only jump through a table of its own, and
`_emscripten_throw_longjmp`, which throws a wasm exception. The inner one is made after the guest,
because it needs the guest's table, memory and stack functions: it fills the outer one's table with
functions that call the guest's slot and catch that exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hyperbeam_trio.devices.wasm.layout import Import, Layout
from hyperbeam_trio.devices.wasm.signature import Signature

TYPE_NAMES = {"i": "i32", "I": "i64", "f": "f32", "F": "f64"}
THROW = "_emscripten_throw_longjmp"
MEMORY_COPY = "_emscripten_memcpy_js"
SET_THREW = "setThrew"
STACK_FUNCTIONS = (
    ("emscripten_stack_get_current", "_emscripten_stack_restore"),
    ("emscripten_stack_get_current", "emscripten_stack_restore"),
    ("stackSave", "stackRestore"),
)


@dataclass(frozen=True, slots=True)
class Helper:
    """The import at place `index` of the guest, given by the outer module under `export`."""

    index: int
    export: str
    signature: Signature
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class LongJump:
    """The helper modules that one guest needs, as WAT.

    `inner_imports` names, in order, what the inner module imports: `outer` exports of the outer
    module, `guest` exports of the guest.
    """

    helpers: tuple[Helper, ...]
    outer: str
    inner: str
    inner_imports: tuple[tuple[str, str], ...]


def plan_longjmp(layout: Layout, table: str | None, memory: str | None) -> LongJump | None:
    """The helpers for a guest, or None if it imports nothing of the kind.

    `table` and `memory` are the names under which the guest exports its first table and memory.
    Every imported function whose name begins with `invoke` is taken (spec/06 §1.4), whatever its
    module.
    """
    helpers = tuple(_find_helpers(layout, table is not None))
    if not helpers:
        return None
    writer = _Writer(layout, table, memory, helpers)
    return LongJump(helpers, writer.outer(), writer.inner(), tuple(writer.inner_imports))


def _find_helpers(layout: Layout, has_table: bool) -> Iterator[Helper]:
    slots = 0
    for index, item in enumerate(layout.imports):
        signature = item.signature
        if signature is None:
            continue
        if has_table and item.name.startswith("invoke") and signature.params[:1] in ("i", "I"):
            yield Helper(index, f"slot {slots}", signature, slots)
            slots += 1
        elif item.name == THROW and signature == Signature():
            yield Helper(index, "throw", signature)
        elif _is_memory_copy(item, layout):
            yield Helper(index, f"slot {slots}", signature, slots)
            slots += 1


def _is_memory_copy(item: Import, layout: Layout) -> bool:
    if item.name != MEMORY_COPY or layout.memory is None:
        return False
    return item.signature == Signature(("I" if layout.memory.is_64 else "i") * 3)


@dataclass
class _Writer:
    layout: Layout
    table: str | None
    memory: str | None
    helpers: tuple[Helper, ...]
    inner_imports: list[tuple[str, str]] = field(default_factory=list)

    def outer(self) -> str:
        slots = [helper for helper in self.helpers if helper.slot is not None]
        lines = [
            '(tag $longjmp (export "tag"))',
            f'(table $slots (export "slots") {len(slots)} funcref)',
            '(func (export "throw") (throw $longjmp))',
        ]
        for helper in slots:
            kind = _type(helper.signature)
            lines.append(
                f'(func (export "{helper.export}") {kind} {_arguments(helper.signature)}'
                f" (call_indirect $slots {kind} (i32.const {helper.slot})))"
            )
        return _module(lines)

    def inner(self) -> str:
        slots = [helper for helper in self.helpers if helper.slot is not None]
        lines = [
            self._import("outer", "tag", "(tag $longjmp)"),
            self._import("outer", "slots", "(table $slots 0 funcref)"),
        ]
        lines += self._guest_parts()
        lines += [f"(func $f{helper.slot} {self._body(helper)})" for helper in slots]
        references = " ".join(f"$f{helper.slot}" for helper in slots)
        lines.append(f"(elem (table $slots) (i32.const 0) func {references})")
        return _module(lines)

    def _import(self, module: str, name: str, kind: str) -> str:
        self.inner_imports.append((module, name))
        return f'(import "{module}" "{len(self.inner_imports)}" {kind})'

    def _guest_parts(self) -> list[str]:
        lines = []
        if self.table is not None:
            width = "i64" if self.layout.tables[0].is_64 else ""
            lines.append(self._import("guest", self.table, f"(table $guest {width} 0 funcref)"))
        lines += self._memory_part()
        for label, name, signature in self._stack_functions():
            lines.append(self._import("guest", name, f"(func ${label} {_type(signature)})"))
        return lines

    def _memory_part(self) -> list[str]:
        names = {self.layout.imports[helper.index].name for helper in self.helpers}
        if MEMORY_COPY not in names or self.memory is None or self.layout.memory is None:
            return []
        width = "i64" if self.layout.memory.is_64 else ""
        return [self._import("guest", self.memory, f"(memory $memory {width} 0)")]

    def _stack_functions(self) -> list[tuple[str, str, Signature]]:
        """The guest's functions for catching a longjmp; empty if it can't."""
        exported = self.layout.exported_functions()
        for get, restore in STACK_FUNCTIONS:
            letter = exported.get(get, Signature()).results
            fits = (
                letter in ("i", "I")
                and exported.get(get) == Signature("", letter)
                and exported.get(restore) == Signature(letter)
                and exported.get(SET_THREW) in (Signature("ii"), Signature("Ii"))
            )
            if fits:
                names = (("get", get), ("restore", restore), ("threw", SET_THREW))
                return [(label, name, exported[name]) for label, name in names]
        return []

    def _body(self, helper: Helper) -> str:
        name = self.layout.imports[helper.index].name
        signature = helper.signature
        if name == MEMORY_COPY:
            return f"{_type(signature)} (memory.copy {_arguments(signature)})"
        call = self._guest_call(signature)
        functions = {label: kind for label, _, kind in self._stack_functions()}
        if not functions:
            return f"{_type(signature)} {call}"
        stack = TYPE_NAMES[functions["get"].results]
        first = TYPE_NAMES[functions["threw"].params[0]]
        zeros = " ".join(f"({TYPE_NAMES[letter]}.const 0)" for letter in signature.results)
        return (
            f"{_type(signature)} (local $sp {stack}) (local.set $sp (call $get))"
            f" (block $caught (try_table (catch $longjmp $caught) {call} return) unreachable)"
            f" (call $restore (local.get $sp))"
            f" (call $threw ({first}.const 1) (i32.const 0)) {zeros}"
        )

    def _guest_call(self, signature: Signature) -> str:
        called = Signature(signature.params[1:], signature.results)
        slot = "(local.get 0)"
        wide = self.layout.tables[0].is_64
        if signature.params[0] == "I" and not wide:
            slot = f"(i32.wrap_i64 {slot})"
        if signature.params[0] == "i" and wide:
            slot = f"(i64.extend_i32_u {slot})"
        return f"{_arguments(signature, 1)} (call_indirect $guest {_type(called)} {slot})"


def _module(lines: list[str]) -> str:
    return "(module\n  " + "\n  ".join(lines) + ")\n"


def _type(signature: Signature) -> str:
    params = "".join(f" (param {TYPE_NAMES[letter]})" for letter in signature.params)
    results = "".join(f" (result {TYPE_NAMES[letter]})" for letter in signature.results)
    return f"{params}{results}".strip()


def _arguments(signature: Signature, first: int = 0) -> str:
    return " ".join(f"(local.get {place})" for place in range(first, len(signature.params)))
