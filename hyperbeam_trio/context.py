"""What a device function is given to work with: the node's means and this call's options."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from hyperbeam_trio.cachecontrol import SILENT, Directives, parse_directives
from hyperbeam_trio.errors import KeyNotFound, NotFound
from hyperbeam_trio.message import Link, Message, Plain, Value, to_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperbeam_trio.cache import Cache
    from hyperbeam_trio.config import NodeConfig
    from hyperbeam_trio.node import Node
    from hyperbeam_trio.resolver import Flight

HashpathMode = Literal["update", "reset", "ignore"]

MAX_DEPTH = 96
"""How deep resolutions may nest; each level costs a handful of interpreter frames."""


@dataclass(slots=True)
class Run:
    """What became known while one question was answered.

    `volatile`: something was asked that may answer differently next time. `hits`, `misses`: steps
    answered from the store and steps executed.
    """

    volatile: bool = False
    hits: int = 0
    misses: int = 0


@dataclass(slots=True, eq=False)
class Context:
    """Passed to every device function; nobody changes one, but for the `run` that it reports to.

    Not frozen, since every step makes one, and freezing costs more than all the rest of it.
    """

    node: Node
    cache_control: Directives = SILENT
    hashpath: HashpathMode = "update"
    depth: int = 0
    flight: Flight | None = None
    run: Run = field(default_factory=Run)
    step_hook: bool = True
    devices: frozenset[str] | None = None
    """The devices that may be used from here on, in lower case; None for all (spec/06 §5.6)."""

    @property
    def config(self) -> NodeConfig:
        """The node's configuration as of now."""
        return self.node.config

    @property
    def cache(self) -> Cache:
        """The node's message cache."""
        return self.node.cache

    def with_cache_control(self, directives: str) -> Context:
        """The same call with these cache directives as its option (they win over messages')."""
        return replace(self, cache_control=parse_directives(directives))

    def internal(self) -> Context:
        """For a device's own bookkeeping: nothing looked up, nothing stored, no hashpaths."""
        return Context(
            self.node,
            _NOTHING_KEPT,
            "ignore",
            self.depth,
            self.flight,
            self.run,
            self.step_hook,
            self.devices,
        )

    def sealed(self) -> Context:
        """For a device whose answer is fixed though it asks volatile things on the way."""
        return replace(self, run=Run())

    def without_step_hook(self) -> Context:
        """For the step hook's own steps, which must not call it again."""
        return replace(self, step_hook=False)

    @property
    def hooked(self) -> bool:
        """Whether executed steps go through the operator's `step` hook."""
        return self.step_hook and self.node.hooks.step is not None

    async def resolve(self, base: Value, request: Message | str) -> Value:
        """`base(request)`; a request of text is a path of keys (spec/03 §3).

        The result is loaded one level. Raises what the devices raise.
        """
        result = await self.node.resolver.resolve(base, request, self)
        return await self.cache.load(result) if isinstance(result, Link) else result

    async def resolve_many(self, sequence: Sequence[Value]) -> Value:
        """The result of a parsed sequence, loaded one level."""
        result = await self.node.resolver.resolve_many(sequence, self)
        return await self.cache.load(result) if isinstance(result, Link) else result

    async def resolve_path(self, path: str) -> Value:
        """The result of HyperPATH text such as `/~meta@1.0/build/node`."""
        from hyperbeam_trio.path import parse

        return await self.resolve_many(parse(path))

    async def get(self, base: Value, path: str, default: Plain = None) -> Value:
        """The value at a path of keys, or `default` where it is not found."""
        try:
            return await self.resolve(base, path)
        except (KeyNotFound, NotFound):
            return to_value(default)

    async def view(self, base: Message, key: str) -> Value:
        """The value that `base` itself holds, loaded one level; `None` when it holds none.

        The device of `base` is not asked (spec/06 §0 "view").
        """
        value = base.get(key)
        return await self.cache.load(value) if isinstance(value, Link) else value

    async def load(self, value: Value) -> Value:
        """A link's content; other values as they are."""
        return await self.cache.load(value) if isinstance(value, Link) else value

    async def load_all(self, value: Value) -> Value:
        """The value with every link in it loaded."""
        return await self.cache.load_all(value)


_NOTHING_KEPT = parse_directives("no-cache, no-store")
