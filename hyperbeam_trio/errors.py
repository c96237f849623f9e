"""The one exception tree: whose fault it is, its HTTP status, what to do (spec/03 §13).

Every class knows its default HTTP status. `details` are further public keys of the error's message
(`unavailable`, `commitment`, …); they hold binaries, text and numbers only, never options or keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

Detail = str | bytes | int | float | bool


class HyperbeamError(Exception):
    """Base of all errors that this package raises on purpose.

    `text` says what was wrong, with which key or id, and what was expected; `status` is an HTTP
    status number; `details` become keys of the error message beside `status` and `body`.
    """

    status: int = 500

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.details: Mapping[str, Detail] = details or {}
        if status is not None:
            self.status = status

    def __copy__(self) -> Self:
        """Another one with the same contents; its class may be made of something else than text."""
        made = type(self).__new__(type(self), *self.args)
        made.__dict__.update(self.__dict__)
        return made


def single_cause(error: BaseException) -> BaseException:
    """The one exception inside groups of one, such as nurseries make; else `error` itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


# The caller's fault.


class BadRequest(HyperbeamError, ValueError):
    """The request can't be understood: a bad path, type, header, body or argument."""

    status = 400


class NotInitialized(BadRequest):
    """The node answers nobody but who sets it up."""

    def __init__(self) -> None:
        super().__init__("Node must be initialized before use.")


class PathError(BadRequest):
    """A HyperPATH that does not parse; `details` has `path` and `at`, an offset (spec/03 §14)."""


class InvalidCommitment(BadRequest):
    """A signature or id that does not hold; `details["commitment"]` names it (spec/02)."""


class Unauthorized(HyperbeamError):
    """A signer is needed and there is none."""

    status = 401


class Forbidden(HyperbeamError, PermissionError):
    """There is a signer, but not one that may do this."""

    status = 403


class NotFound(HyperbeamError, KeyError):
    """A key, message or device that isn't there."""

    status = 404

    def __str__(self) -> str:
        return self.text


class KeyNotFound(NotFound):
    """`message@1.0` has no such key: the atom `not_found` of spec/01 §13."""


class NecessaryMessageNotFound(NotFound):
    """A link or id that the computation needs can't be loaded (spec/03 §13)."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"Message necessary to resolve request not found: {id}", details={"unavailable": id}
        )


class UnknownMessage(NotFound):
    """A message that was asked for by its id is not stored here."""


class NotAcceptable(HyperbeamError):
    """No encoding that the client accepts exists for this answer."""

    status = 406


class TooLarge(HyperbeamError):
    """A body, a header block or a value over its limit."""

    status = 413


class QuotaExceeded(HyperbeamError):
    """More than anybody may bring; `details["retry-after"]` says after how many seconds to come."""

    status = 429

    def __init__(self, text: str, retry_after: int = 1) -> None:
        super().__init__(text, details={"retry-after": retry_after})


class Conflict(HyperbeamError):
    """The request does not fit the present state (a slot taken, a name in use)."""

    status = 409


class InfiniteRecursion(HyperbeamError, RecursionError):
    """A request that waits for itself (spec/03 §10)."""

    status = 508

    def __init__(self, text: str = "Request creates infinite recursion.") -> None:
        super().__init__(text)


class NotCached(HyperbeamError):
    """`only-if-cached`, and there is no stored result (spec/03 §9)."""

    status = 504

    def __init__(self) -> None:
        super().__init__(
            "Computed result not available in cache.", details={"cache-status": "miss"}
        )


# The data's fault.


class CorruptData(HyperbeamError):
    """Stored bytes that do not match their hash or their format; they are never served."""

    status = 500


# The guest's fault (WASM, Lua).


class GuestError(HyperbeamError):
    """A guest program failed: a trap, a Lua error, a result that can't be read."""

    status = 500


class GuestTrap(GuestError):
    """The guest trapped: unreachable, out-of-bounds, stack overflow, division by zero."""


class GuestLimit(GuestError):
    """A guest used up its time, fuel or memory; `details["limit"]` names the limit."""

    status = 503


class GuestTimeout(GuestLimit):
    """A limit that a guest reaches here and now, such as wall-clock time; elsewhere it may not.

    It says nothing about the guest's program, so it is nobody's result (spec/06 §7.5).
    """


# The node's fault.


class NodeError(HyperbeamError):
    """Something of ours does not work: a hook, a store, a service."""

    status = 500


class StateLost(NodeError):
    """A state needs something of this process that it no longer has, such as a live guest.

    The resolver then computes the sequence again without looking up what is stored.
    """


class StoreError(NodeError):
    """A store that can't be read or written now (not: that does not have the key)."""

    status = 503


class Busy(NodeError):
    """A queue is full; `details["retry-after"]` says after how many seconds to come back."""

    status = 503

    def __init__(self, text: str, retry_after: int = 1) -> None:
        super().__init__(text, details={"retry-after": retry_after})


class DeadlineExceeded(NodeError, TimeoutError):
    """A wait of ours took longer than its limit."""

    status = 504


class ConfigError(NodeError, ValueError):
    """A configuration that can't be used; the text names the key, the value and what fits."""


# A remote's fault.


class RemoteError(HyperbeamError):
    """Another node, gateway or service did not answer, or answered rubbish."""

    status = 502


class NoViableResponses(RemoteError):
    """None of several remote answers was admissible (spec/07 §6)."""

    status = 400


STATUS_NAMES: Mapping[str, int] = {
    "ok": 200,
    "created": 201,
    "error": 400,
    "client_error": 400,
    "no_viable_responses": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "failure": 500,
    "unavailable": 503,
}
"""Status names and their HTTP numbers (spec/07 §3.3)."""


class Halt(HyperbeamError):
    """Not a fault: a device ends this pass (`skip`) or asks for another (`pass`) (spec/03 §1).

    Only `stack@1.0` and its like catch it; `state` is the value to go on with.
    """

    status: int = 200
    names: ClassVar[frozenset[str]] = frozenset({"skip", "pass"})

    def __init__(self, name: str, state: object) -> None:
        if name not in self.names:
            raise ValueError(f"{name!r} is not a halting status; use one of {sorted(self.names)}.")
        super().__init__(name)
        self.name = name
        self.state = state
