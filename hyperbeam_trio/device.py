"""What a device is, and finding the one that a message names (spec/03 §6).

A device is a class whose methods marked with `@key` answer requests. Installed packages offer
theirs through the entry-point group `hyperbeam_trio.devices`; a node makes one instance of each
that it needs, so what an instance holds belongs to that node alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload

from hyperbeam_trio.errors import NotFound
from hyperbeam_trio.message import Atom, Message, Value

if TYPE_CHECKING:
    from hyperbeam_trio.codec.base import Codec
    from hyperbeam_trio.context import Context

ENTRY_POINTS = "hyperbeam_trio.devices"

F = TypeVar("F", bound=Callable[..., Awaitable[Value]])


class KeyFunction(Protocol):
    """What answers a key: `await function(base, request, context) -> result`.

    It returns the result of status `ok`. It raises a `HyperbeamError` for any other outcome.
    """

    def __call__(
        self, base: Message, request: Message, context: Context, /
    ) -> Awaitable[Value]: ...


@dataclass(frozen=True, slots=True)
class Answerer:
    """A function found for a (device, key) pair.

    `volatile`: the answer may differ next time, so it is neither looked up nor stored.
    `direct`: it is a plain look-up in the base, so that a value that is there is the answer.
    """

    call: KeyFunction
    volatile: bool = False
    direct: bool = False


@overload
def key(function: F, /) -> F: ...
@overload
def key(name: str | None = None, /, *, volatile: bool | None = None) -> Callable[[F], F]: ...
def key(name: Any = None, /, *, volatile: bool | None = None) -> Any:
    """Mark a method as the answer to a key: `@key`, `@key("set-path")`, `@key(volatile=True)`.

    Without a name the key is the method's, with dashes for underscores and no trailing one.
    `volatile` (default: the device's) says that the answer is not a function of its inputs alone.
    """
    if callable(name):
        return key()(name)

    def mark(function: F) -> F:
        text = name or function.__name__.rstrip("_").replace("_", "-")
        function.__device_key__ = (text, volatile)  # type: ignore[attr-defined]  # a marker
        return function

    return mark


def default(function: F) -> F:
    """Mark the method that answers every key that the device has no other method for.

    It is called as `await function(key, base, request, context)`.
    """
    function.__device_default__ = True  # type: ignore[attr-defined]  # a marker
    return function


def fold(key: str) -> str:
    """The form in which a requested key is compared with a device's keys (spec/03 §6.2)."""
    return key.lower().replace("_", "-")


class Device:
    """Base of all devices.

    Class attributes: `name` ("dedup@1.0"); `excludes`, keys left to the fallback device whatever
    functions there are; `volatile`, see `key`; `codec`, for devices that are also an encoding.
    """

    name: ClassVar[str]
    excludes: ClassVar[frozenset[str]] = frozenset()
    volatile: ClassVar[bool] = False
    codec: ClassVar[Codec | None] = None

    _functions: ClassVar[Mapping[str, tuple[str, bool]]] = {"info": ("info", False)}
    _default: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        functions = dict(cls._functions)
        for attribute, member in list(vars(cls).items()):
            marker = getattr(member, "__device_key__", None)
            if marker is not None:
                name, volatile = marker
                functions[fold(name)] = (attribute, cls.volatile if volatile is None else volatile)
            if getattr(member, "__device_default__", False):
                cls._default = attribute
        cls._functions = {name: f for name, f in functions.items() if name not in cls.excludes}

    @classmethod
    def key_names(cls) -> list[str]:
        """The keys that the device answers by itself, sorted."""
        return sorted(cls._functions)

    def find_function(self, requested: str) -> Answerer | None:
        """What answers a folded key; `None` leaves it to the default device."""
        found = self._functions.get(requested)
        if found is not None:
            return Answerer(getattr(self, found[0]), found[1])
        if self._default is None or requested in self.excludes:
            return None
        return Answerer(_Curried(getattr(self, self._default)), self.volatile)

    @key
    async def info(self, base: Message, request: Message, context: Context) -> Value:
        """What the device is: `name`, `description`, and `keys` that it answers."""
        text = (type(self).__doc__ or "").strip()
        names: list[Value] = [name.encode() for name in self.key_names()]
        return Message.of({"name": self.name.encode(), "description": text.encode(), "keys": names})


class _Curried:
    """A default function as a key function: it is told the request's key first."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Awaitable[Value]]) -> None:
        self._function = function

    def __call__(self, base: Message, request: Message, context: Context) -> Awaitable[Value]:
        return self._function(request.text("path"), base, request, context)


class DeviceNotLoadable(NotFound):
    """The device that a message names is not to be had here (spec/03 §6.1)."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches

        near = get_close_matches(name, list(known), n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        super().__init__(
            f"Device {name!r} is not installed on this node.{hint}",
            details={"missing-device": name},
        )


class DeviceTable:
    """The devices of one node: by name, from entry points and from what the embedder adds.

    `fallback` names the device of messages that name none, and of keys that others leave alone.
    """

    def __init__(self, fallback: str, extra: Mapping[str, type[Device]] | None = None) -> None:
        self._points: dict[str, EntryPoint] = {
            point.name.lower(): point for point in entry_points(group=ENTRY_POINTS)
        }
        self._classes = {name.lower(): cls for name, cls in (extra or {}).items()}
        self._loaded: dict[str, Device] = {}
        self._answers: dict[tuple[str, str], Answerer] = {}
        self.fallback = self.get(fallback)

    def names(self) -> list[str]:
        """All names that can be loaded, sorted."""
        return sorted({*self._points, *self._classes})

    def get(self, name: str) -> Device:
        """The device of a name; `DeviceNotLoadable` (404) with near misses otherwise."""
        device = self._loaded.get(name)
        return device if device is not None else self._load(name)

    def _load(self, name: str) -> Device:
        folded = name.lower()
        cls = self._classes.get(folded)
        if cls is None:
            point = self._points.get(folded)
            if point is None:
                raise DeviceNotLoadable(name, self.names())
            cls = point.load()
        device = self._loaded.get(folded)
        if device is None:
            device = self._loaded[folded] = cls()
        if len(self._loaded) < 4096:
            self._loaded[name] = device
        return device

    def of(self, base: Message) -> Device:
        """The device that `base` names, or the fallback."""
        named = base.get("device")
        if named is None:
            return self.fallback
        if isinstance(named, bytes | Atom):
            return self.get(named.decode() if isinstance(named, bytes) else named)
        return self.get(base.text("device"))

    def answerer(self, device: Device, requested: str) -> Answerer:
        """What answers `requested` on `device`: its function, its default, or the fallback's."""
        memo = (device.name, requested)
        found = self._answers.get(memo)
        if found is None:
            own = None if device is self.fallback else device.find_function(fold(requested))
            found = own or self._fallback_answerer(device, requested)
            if len(self._answers) < 8192:
                self._answers[memo] = found
        return found

    def _fallback_answerer(self, device: Device, requested: str) -> Answerer:
        folded = fold(requested)
        found = self.fallback.find_function(folded)
        if found is None:
            raise NotFound(f"Device {device.name} does not answer {requested!r}.")
        return replace(found, direct=folded not in self.fallback.key_names())
