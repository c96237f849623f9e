"""What a push has to resolve on behalf of others: bounded, and without a push of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import trio

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import DeadlineExceeded, Forbidden

_within: ContextVar[bool] = ContextVar("hyperbeam_trio_push_resolving", default=False)


@contextmanager
def within_push(config: NodeConfig) -> Iterator[None]:
    """While the block lasts, this task can't push: an outbox could ask for itself without end.

    Raises `DeadlineExceeded` when option `push-time-limit` is over.
    """
    seconds = config.push_time_limit / 1000
    token = _within.set(True)
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise DeadlineExceeded(f"Resolving for a push took more than {seconds:g} s.") from None
    finally:
        _within.reset(token)


def refuse_nested_push() -> None:
    """`Forbidden` where a push has this resolved."""
    if _within.get():
        raise Forbidden("What a push has resolved can't push in its turn.")
