"""What other implementations made of paths and requests, and of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hyperbeam_trio.codec.ids import link_id
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import As, Link, Message, Resolve, Value, to_value
from hyperbeam_trio.path import parse_request, unparse
from tests import vectors

NESTED: Mapping[str, Any] = {
    "U5J_-qXV-Jz3mpqx9b18ZiKMXkWV2Rd9Js7G8il_CJM": [1, 2],
    "rhBzuiUVOm8BYSaACEEsWk17NYyYz70Ur-faWcSuD7g": [1, 2],
    "OpNCVoptL8nHhTbjVQHwHuVAy0AFuy5qwJN-UjaLHEU": [1, 2, 3],
    "LJNSyAg3udG_pxDcNGB0fdNZJ1GT49t7cydlGTRmZLc": [1, 2, 3],
    "3mNqLAJV5sG6y3-xiUil5nMbbsexE9yVRnNuQp_2_9s": ["1", "2"],
    "Fw6WjtgZ_dz5YcW1hMFCwE98adFvWtAOyVbl6K3CrDA": {"a": 1},
    "np3stvTlJELQLgarP2Iw5NuN6oFI_iMfrglyWWsK3ME": {"a": 1},
    "OmlbLBnWMrflkSO6bWZawGsrphvkObA5zlB1g6oQ1yQ": {"x": "y"},
}
"""What the peers turned into links; here nested values stay where they are."""

RULED: Mapping[str, tuple[str, Any]] = {
    # (a) a space ends the name of a segment, and an id has none (column N of §14.6, row 66).
    "/a%20b": ("a", [{}, {"path": "a"}]),
    "/a b": ("a", [{}, {"path": "a"}]),
    "/42jky7O3RzKkMOfHBXgK-304YjulzEYqHc9qyjT3efA~manifest@1.0/[object Object]": (
        "a",
        [
            {
                "$as": "manifest@1.0",
                "msg": {"path": "42jky7O3RzKkMOfHBXgK-304YjulzEYqHc9qyjT3efA"},
            },
            {"path": "[object"},
        ],
    ),
    # (b) only a pair of outer quotes is stripped.
    '/a?q="x&y"': ("b", [{"q": '"x', 'y"': True}, {"path": "a", "q": '"x', 'y"': True}]),
    "/a?k=%22": ("b", [{"k": '"'}, {"k": '"', "path": "a"}]),
    '/a&k="unterminated/b': ("b", [{}, {"k": '"unterminated/b', "path": "a"}]),
    '/a&k="v"x/b': ("b", [{}, {"k": '"v"x', "path": "a"}, {"path": "b"}]),
    # (c) a value that does not fit its type is an error.
    "/a&n+integer=x": ("c", {"$error": "400"}),
    "/a?x+integer=1.5": ("c", {"$error": "400"}),
    # spec/README decision 3: an ordinary key.
    "/a?foo.bar=v": ("3", [{"foo.bar": "v"}, {"foo.bar": "v", "path": "a"}]),
}
"""Paths where spec/03 §14.7 or a decision says otherwise than the vectors of November 2025."""

OLDER: Mapping[str, tuple[str, Any]] = {
    # Column E reads these otherwise; column N is what we follow.
    "/a&n+int=5": ("alias", [{}, {"n": 5, "path": "a"}]),
    "/a?path=x": ("inline wins", [{"path": "x"}, {"path": "a"}]),
    "/a/b?x.k=v": ("3", [{"x.k": "v"}, {"path": "a", "x.k": "v"}, {"path": "b", "x.k": "v"}]),
    "/a%20b": ("space", [{}, {"path": "a"}]),
    "/a b": ("space", [{}, {"path": "a"}]),
}


def _request(case: vectors.Case) -> Message:
    return Message(path=case["path"]) if "path" in case else vectors.message(case["request"])


def _element(value: Value) -> Value:
    """An element of a vector as we give it: ids are links, the links of nested values are read."""
    if isinstance(value, bytes) and is_id(value.decode()):
        return Link(value.decode())
    if isinstance(value, Resolve):
        return Resolve(tuple(_element(item) for item in value.sequence))
    if isinstance(value, As):
        path = value.message.get("path")
        named = isinstance(path, bytes) and is_id(path.decode())
        message = _message(value.message)
        return As(_element(value.device), message.set(path=_element(path)) if named else message)
    return _message(value) if isinstance(value, Message) else value


def _message(message: Message) -> Message:
    return Message({key: _inner(value) for key, value in message.items()})


def _inner(value: Value) -> Any:
    if isinstance(value, Link):
        return NESTED[value.id]
    return _element(value) if isinstance(value, Resolve) else value


def _elements(notation: Any) -> list[Any]:
    return [vectors.notation(_element(vectors.value(item))) for item in notation]


def _reversed(case: vectors.Case) -> bool:
    """The reverse direction: these sequences begin with a request, which no parsed one does."""
    first = case["messages"][0] if isinstance(case["messages"], list) and case["messages"] else {}
    return "request" in case and "path" in first


def _check(case: vectors.Case, ruled: Mapping[str, tuple[str, Any]]) -> None:
    path = case["path"] if "path" in case else case["request"].get("path", "")
    expected = ruled[path][1] if "path" in case and path in ruled else case["messages"]
    if vectors.is_error(expected):
        with pytest.raises(PathError) as caught:
            parse_request(_request(case))
        assert caught.value.status == 400
    else:
        parsed = parse_request(_request(case))
        assert [vectors.notation(element) for element in parsed] == _elements(expected)


@vectors.each(
    "n-singleton.json",
    lambda case: not _reversed(case) and "foo.bar" not in case.get("request", {}),
)
def test_sequence_of_a_request(case: vectors.Case) -> None:
    _check(case, RULED)


@vectors.each("n-singleton.json", _reversed)
def test_request_of_a_sequence(case: vectors.Case) -> None:
    sequence = [_element(vectors.value(item)) for item in case["messages"]]

    assert vectors.notation(unparse(sequence)) == case["request"]


def test_header_with_a_dot_behind_a_name_is_an_ordinary_key() -> None:
    # spec/README decision 3, where n-singleton.json has an error.
    parsed = parse_request(Message({"path": "/a/b", "foo.bar": "v"}))

    assert [element.get("foo.bar") for element in parsed if isinstance(element, Message)] == [
        b"v",
        b"v",
        b"v",
    ]


@vectors.each("singleton.json", lambda case: not _reversed(case))
def test_sequence_of_a_request_of_june_2025(case: vectors.Case) -> None:
    messages = case["messages"]
    if isinstance(messages, list):
        # Column E leaves an empty path in casts, and lets keys of the request win over inline ones.
        case = {**case, "messages": [_newer(item) for item in messages]}
    if "ao-types" in case.get("request", {}):
        case = {**case, "request": {"path": "/a", "n": 5}}
    inline = "&k=inline" in str(case.get("request", {}).get("path"))
    if inline:
        case["messages"][1]["k"] = "inline"
    _check(case, OLDER)


def _newer(item: Any) -> Any:
    if isinstance(item, dict) and "$as" in item and item["msg"].get("path") == "":
        return {**item, "msg": {key: value for key, value in item["msg"].items() if key != "path"}}
    if isinstance(item, dict) and "$resolve" in item:
        return {"$resolve": [_newer(inner) for inner in item["$resolve"]]}
    return item


@vectors.each("singleton.json", _reversed)
def test_request_of_a_sequence_of_june_2025(case: vectors.Case) -> None:
    sequence = [_element(vectors.value(item)) for item in case["messages"]]

    assert vectors.notation(unparse(sequence)) == case["request"]


@pytest.mark.parametrize(
    "id",
    [
        "U5J_-qXV-Jz3mpqx9b18ZiKMXkWV2Rd9Js7G8il_CJM",
        "OpNCVoptL8nHhTbjVQHwHuVAy0AFuy5qwJN-UjaLHEU",
        "3mNqLAJV5sG6y3-xiUil5nMbbsexE9yVRnNuQp_2_9s",
        "Fw6WjtgZ_dz5YcW1hMFCwE98adFvWtAOyVbl6K3CrDA",
        "OmlbLBnWMrflkSO6bWZawGsrphvkObA5zlB1g6oQ1yQ",
    ],
)
def test_nested_values_have_the_ids_that_the_links_of_the_vectors_name(id: str) -> None:
    value = to_value(NESTED[id])

    assert isinstance(value, Message | list)
    assert link_id(value) == id
