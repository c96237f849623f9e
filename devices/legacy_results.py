"""What a legacy program's response means: `results` of a slot (spec/06 §3.4, spec/08 §4.3)."""

from __future__ import annotations

import math
from typing import Any, Final

import orjson

from hyperbeam_trio.errors import GuestError
from hyperbeam_trio.message import UNSET, Message, Value, enumerated

DEPTH: Final = 64
"""How deep a response may be nested."""

_DROPPED: Final = frozenset({"from-process", "from-image", "anchor", "tags"})
"""Fields of a message as programs may not name them; `Anchor` and `Tags` stay."""

_UNSET: Final = "__ao-unset__"


def read_response(text: bytes) -> dict[str, Any]:
    """The `response` of a program's answer `{"ok": true, "response": ..}`; `GuestError` else."""
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GuestError("JSON error parsing result output.") from error
    response = answer.get("response") if isinstance(answer, dict) else None
    if not isinstance(response, dict) or answer.get("ok") is not True:
        raise GuestError("WASM execution error.", details={"error": text[:2000]})
    return response


def results_of(response: dict[str, Any], process: str | None, image: str | None) -> Message:
    """`data`, `outbox`, `patches`, and the response itself as `raw`.

    `process` and `image` say where the messages of the outbox come from. Raises `GuestError` for
    what no message can hold.
    """
    data, messages, patches = _parts(response)
    sent = [_message(each, process, image) for each in messages if isinstance(each, dict)]
    return Message.of(
        {
            "data": _text(data),
            "outbox": enumerated([*sent]),
            "patches": [_tags(each) for each in patches],
            "raw": _value(response),
        }
    )


def _parts(response: dict[str, Any]) -> tuple[Any, list[Any], list[Any]]:
    if response.get("Error") is not None:
        return response["Error"], [], []
    output = response.get("Output", {})
    if not isinstance(output, dict):
        return "", [], []
    data = output.get("data", response.get("Data", ""))
    return data, _listed(response.get("Messages")), _listed(response.get("patches"))


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        # Lua's JSON can't tell an empty list from an empty object.
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _text(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else orjson.dumps(data)


def _message(fields: dict[str, Any], process: str | None, image: str | None) -> Message:
    items = {k.lower(): _unset(v) for k, v in fields.items() if k not in _DROPPED}
    items.update(_tags(fields))
    origin = {"from-process": process, "from-image": image}
    items.update((key, id.encode()) for key, id in origin.items() if id is not None)
    return Message.of(items)


def _tags(tags: Any) -> Message:
    """The tags of a list of `{name, value}`, or of an object that has such a list, as keys."""
    if isinstance(tags, dict):
        tags = next((v for k, v in tags.items() if k.lower() == "tags"), [])
    named = [tag for tag in _listed(tags) if isinstance(tag, dict) and "name" in tag]
    return Message.of({str(tag["name"]): _unset(tag.get("value")) for tag in named})


def _unset(value: Any) -> Value:
    """A value of the outbox or a patch, where a certain text asks for a key to be removed."""
    return _value(value, removing=True)


def _value(value: Any, depth: int = DEPTH, *, removing: bool = False) -> Value:
    if depth == 0:
        raise GuestError(f"A response of the guest is nested over {DEPTH} deep.")
    if isinstance(value, str):
        return UNSET if removing and value == _UNSET else value.encode()
    if isinstance(value, dict):
        below = ((k, _value(v, depth - 1, removing=removing)) for k, v in value.items())
        return Message.of(dict(below))
    if isinstance(value, list):
        return [_value(item, depth - 1, removing=removing) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise GuestError("A response of the guest has a number that is not finite.")
    number: Value = value
    return number
