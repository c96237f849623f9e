"""Hooks: messages of the operator's that are asked at fixed points (spec/03 §11, spec/07 §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyperbeam_trio.errors import ConfigError, HyperbeamError, NodeError
from hyperbeam_trio.message import Message, Value, as_text, numbered, to_value

if TYPE_CHECKING:
    from hyperbeam_trio.context import Context

BODY_REQUIRED = frozenset({"start", "request", "response", "step"})
OF_REQUESTS = ("request", "response", "step")
"""Hooks that have a say in answers."""


class Hooks:
    """The handlers of a node's option `on`, by hook name.

    `of_requests`: whether any of them may change what a request is answered with.
    """

    def __init__(self, on: Mapping[str, Any] | Message | None = None) -> None:
        self._handlers: dict[str, list[Message]] = {}
        for name, value in (on or {}).items():
            self._handlers[name] = _handlers_of(name, value)
        self.step: Sequence[Message] | None = self._handlers.get("step") or None
        self.of_requests = any(self.find(name) for name in OF_REQUESTS)

    def find(self, name: str) -> Sequence[Message]:
        """Handlers of a hook in their order; none for a hook that nobody handles."""
        return self._handlers.get(name, ())


def _handlers_of(name: str, value: Any) -> list[Message]:
    plain = to_value(value)
    if isinstance(plain, Message):
        listed = numbered(plain)
        plain = [plain] if listed is None else listed
    if not isinstance(plain, list) or not all(isinstance(item, Message) for item in plain):
        raise ConfigError(f"on.{name}: expected a message or a list of messages as handlers.")
    return [item for item in plain if isinstance(item, Message)]


async def run_hook(name: str, request: Message, context: Context) -> Message:
    """Ask every handler in turn; each gets what the one before it returned.

    Gives the last result, or `request` itself when nobody handles the hook. Raises what a handler
    raised, and `NodeError` for a handler that fails or returns something else than a message.
    """
    for handler in context.node.hooks.find(name):
        result = await _ask(name, handler, request, context)
        mode = _option(handler, "result") or "return"
        if mode == "error":
            raise HyperbeamError(f"Hook {name!r} refused the request.", status=400)
        request = request if mode == "ignore" else result
    return request


def _option(handler: Message, name: str) -> str | None:
    """What a handler says under `hook/NAME`, in one key or in two."""
    hook = handler.get("hook")
    nested = hook.get(name) if isinstance(hook, Message) else None
    return as_text(handler.get(f"hook/{name}", nested))


async def _ask(name: str, handler: Message, request: Message, context: Context) -> Message:
    asked = request.set(path=handler.text("path", name), method=handler.text("method", "GET"))
    if _option(handler, "commit-request") == "true":
        node = context.node
        handler = handler if handler.signers else await node.sign(handler, bundle=True)
        asked = await node.sign(asked.uncommitted(), bundle=True)
    try:
        result = await context.internal().resolve(handler, asked)
    except HyperbeamError:
        raise
    except Exception as error:
        raise NodeError(f"Handler for hook `{name}` raised an exception: {error}") from error
    if not isinstance(result, Message) or (name in BODY_REQUIRED and "body" not in result):
        raise NodeError(f"Handler for hook `{name}` returned unexpected result.")
    return result


async def run_step_hook(base: Message, request: Message, result: Value, context: Context) -> Value:
    """The `step` hook around one executed step: it may replace the result (spec/03 §5.7)."""
    event = Message.of({"base": base, "request": request, "status": b"ok", "body": result})
    answer = await run_hook("step", event, context.without_step_hook())
    return answer["body"]
