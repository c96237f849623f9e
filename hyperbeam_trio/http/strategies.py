"""Which of a route's nodes are asked (spec/07 §7)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

from hyperbeam_trio.crypto.encoding import hash_id, is_id, native_id
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value

Pick = Callable[[Sequence[Message], "Question"], int | None]
"""The place of the node to take next, or `None` when none of those left fits."""

RING: Final = 1 << 256
_END_OF_ID: Final = re.compile(r"[~?&]")
_SHUFFLED: Final = "shuffled-"


class Question:
    """What the choice may depend on: the request, its path, and chance."""

    __slots__ = ("_base", "path", "request", "route_by")

    def __init__(self, request: Message, path: str, route_by: str | None = None) -> None:
        self.request = request
        self.path = path
        self.route_by = route_by
        self._base: int | None = None

    @property
    def base(self) -> int:
        """The id that the path begins with, or the hash of its first part, as a number."""
        if self._base is None:
            first = self.path.lstrip("/").partition("/")[0]
            name = _END_OF_ID.split(first, maxsplit=1)[0]
            self._base = to_number(name if _is_native(name) else hash_id(first.encode()))
        return self._base

    @property
    def number(self) -> int:
        """The number under the key of the request that the route's `route-by` names."""
        if self.route_by is None:
            raise BadRequest("The route chooses by a number, but has no key 'route-by'.")
        return self.request.int(self.route_by)


def _is_native(text: str) -> bool:
    return len(text) == 43 and is_id(text)


def to_number(id: str) -> int:
    """An id of 43 characters as a number of 256 bits."""
    return int.from_bytes(native_id(id), "big")


def choose_nodes(
    strategy: str, nodes: Sequence[Value], choose: int, question: Question, chance: random.Random
) -> list[Value]:
    """`choose` of `nodes` by a strategy of the protocol, without repetition; `All` takes all.

    Fewer if fewer fit. Raises `BadRequest` for a strategy that there isn't, or a node that lacks
    what its strategy needs.
    """
    name = strategy.lower()
    if name == "all":
        return list(nodes)
    if name.startswith(_SHUFFLED):
        chosen = choose_nodes(name.removeprefix(_SHUFFLED), nodes, choose, question, chance)
        chance.shuffle(chosen)
        return chosen
    pick = _strategies(chance).get(name)
    if pick is None:
        raise BadRequest(f"There is no route strategy {strategy!r}.")
    left = list(nodes)
    picked: list[Value] = []
    while left and len(picked) < choose:
        place = pick([_as_message(node) for node in left], question)
        if place is None:
            break
        picked.append(left.pop(place))
    return picked


def _as_message(node: Value) -> Message:
    return node if isinstance(node, Message) else Message()


def _strategies(chance: random.Random) -> dict[str, Pick]:
    return {
        "random": lambda nodes, _: chance.randrange(len(nodes)),
        "by-weight": lambda nodes, _: _by_weight(nodes, chance),
        "by-base": lambda nodes, question: question.base % len(nodes),
        "nearest": _nearest,
        "nearest-integer": _nearest_integer,
        "range": _in_range,
    }


def _by_weight(nodes: Sequence[Message], chance: random.Random) -> int:
    weights = [max(node.float("weight", 1.0), 0.0) for node in nodes]
    if not any(weights):
        return chance.randrange(len(nodes))
    return chance.choices(range(len(nodes)), weights)[0]


def _nearest(nodes: Sequence[Message], question: Question) -> int:
    """The node whose wallet is nearest to the base on the ring of ids."""

    def distance(place: int) -> int:
        wallet = nodes[place].text("wallet")
        if not _is_native(wallet):
            raise BadRequest(f"A route's node has the wallet {wallet[:64]!r}, which is no address.")
        apart = abs(to_number(wallet) - question.base)
        return min(apart, RING - apart)

    return min(range(len(nodes)), key=distance)


def _nearest_integer(nodes: Sequence[Message], question: Question) -> int:
    return min(
        range(len(nodes)), key=lambda place: abs(nodes[place].int("center") - question.number)
    )


def _in_range(nodes: Sequence[Message], question: Question) -> int | None:
    for place, node in enumerate(nodes):
        if node.int("min") <= question.number <= node.int("max"):
            return place
    return None
