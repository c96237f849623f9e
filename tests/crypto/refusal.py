"""For tests that feed anything at all: a value or a refusal, and no other exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from hyperbeam_trio.errors import BadRequest

_P = ParamSpec("_P")
_T = TypeVar("_T")


def value_or_refusal(
    read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T | BadRequest:
    """What `read` makes of the arguments, or the `BadRequest` by which it refuses them."""
    try:
        return read(*args, **kwargs)
    except BadRequest as refusal:
        return refusal
