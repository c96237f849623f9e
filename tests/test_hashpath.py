"""Hashpaths: the arithmetic, the chain of a resolution, and checking one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import hash_id, human_id, native_id
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.hashpath import (
    accumulate_256,
    extend,
    hashpath,
    hashpath_of,
    request_part,
    sha256_chain,
    verify_history,
)
from hyperbeam_trio.message import Link, Message
from tests import vectors

ids = st.binary(min_size=32, max_size=32).map(human_id)


@vectors.each("n-hashpath.json", lambda case: "steps" in case)
def test_steps(case: vectors.Case) -> None:
    base = vectors.message(case["base"])
    assert hashpath_of(base) == case["base_hashpath"]

    for step in case["steps"]:
        request = vectors.message(step["request"])
        if vectors.is_error(step["hashpath"]):
            with pytest.raises(BadRequest, match="can't be added"):
                hashpath(base, request)
        else:
            assert hashpath_of(request) == step["request_id"]
            assert hashpath(base, request) == step["hashpath"]
            base = base.with_hashpath(step["hashpath"])


@vectors.each("hashpath.json", lambda case: "steps" in case)
def test_steps_of_june_2025_have_the_same_arithmetic(case: vectors.Case) -> None:
    # Ids were others then, so each step goes on from the texts of the step before.
    algorithm = "accumulate-256" if case["alg"] == "accumulate-256" else "sha-256-chain"
    left = case["base_hashpath"]
    for step in case["steps"]:
        request = vectors.message(step["request"])
        part = request_part(request) if len(request) == 1 else step.get("request_id", "")
        if vectors.is_error(step["hashpath"]):
            with pytest.raises(BadRequest, match="can't be added"):
                extend(left, part, algorithm)
        else:
            left = extend(left, part, algorithm)
            assert left == step["hashpath"]


@vectors.each("n-hashpath.json", lambda case: case["name"].startswith("resolve: "))
def test_result_of_one_resolution(case: vectors.Case) -> None:
    base, request = vectors.message(case["base"]), vectors.message(case["request"])
    assert hashpath_of(base) == case["base_hashpath"]

    result = vectors.value(case["result"][1])
    if isinstance(result, Message):
        assert hashpath(base, request) == case["result_hashpath"]
    else:
        assert hashpath_of(result) == case["result_hashpath"]


@vectors.each("n-hashpath.json", lambda case: case["name"].startswith("signed: "))
def test_signed_messages_stand_with_their_unsigned_ids(case: vectors.Case) -> None:
    base, request = vectors.message(case["base"]), vectors.message(case["request"])

    assert hashpath_of(base) == case["base_hashpath"] == case["base_unsigned_id"]
    assert hashpath(base, request) == case["hashpath"]


@vectors.each("n-hashpath.json", lambda case: case["name"] == "extend")
def test_extension(case: vectors.Case) -> None:
    if vectors.is_error(case["hashpath"]):
        with pytest.raises(BadRequest, match="can't be added"):
            extend(case["left"], case["request_part"], case["alg"])
    else:
        assert extend(case["left"], case["request_part"], case["alg"]) == case["hashpath"]


@pytest.mark.parametrize("file", ["n-hashpath.json", "hashpath.json"])
def test_hashpath_of_a_binary_is_its_hash(file: str) -> None:
    for case in vectors.cases(file, lambda case: case["name"] == "binary-hashpath"):
        assert hashpath_of(vectors.value(case["base"])) == case["base_hashpath"]


@pytest.mark.parametrize("file", ["n-hashpath.json", "hashpath.json"])
def test_primitives(file: str) -> None:
    (case,) = vectors.cases(file, lambda case: case["name"] == "primitive")
    one, two = native_id(case["id1"]), native_id(case["id2"])

    assert human_id(sha256_chain(one, two)) == case["sha256_chain"]
    assert human_id(accumulate_256(one, two)) == case["accumulate"]
    overflow = accumulate_256(two, b"\xff" * 32)
    assert human_id(overflow) == case["accumulate_overflow"]


def test_worked_examples() -> None:
    one, two, three = (hash_id(text) for text in (b"one", b"two", b"three"))

    assert extend(one, two) == f"{one}/{two}"
    assert extend(f"{one}/{two}", three) == f"EZFMGaKKmMV9EvPM5sMreUR4T0tHgacGwk6x3ChOKFY/{three}"
    assert (
        extend(f"{one}/{two}", three, "accumulate-256")
        == f"tleQq6mZLGL826qs4Xa97fOgIAkGzkZFFzdesyZ6FOA/{three}"
    )
    assert extend(f"{one}/key", "other") == "tizQ-IRNT_v6WVxi7AHf5h4V3LCE5flSGch7rYQTFKo/other"


def test_request_of_a_path_alone_stands_with_its_first_key() -> None:
    assert request_part(Message(path="/a/b/c")) == "a"
    assert request_part(Message(path=["a", "b"])) == "a"
    assert request_part(Message(path=Link(hash_id(b"x")))) == hash_id(b"x")


def test_request_with_an_empty_path_stands_with_its_id() -> None:
    assert len(request_part(Message(path="/"))) == 43


def test_algorithm_that_nobody_knows_is_the_default() -> None:
    base = Message({"hashpath-alg": "md5"}).with_hashpath(f"{hash_id(b'one')}/key")

    assert hashpath(base, Message(path="other")).startswith("tizQ-IRNT_v6WVxi7AHf5h4V3LCE5flSGch7")


def test_list_stands_as_its_numbered_message() -> None:
    assert hashpath_of([b"a", b"b"]) == hashpath_of(Message({"1": "a", "2": "b"}))


@pytest.mark.parametrize("left", ["a/b/c", f"0x{'a' * 40}/key", "short/key"])
def test_what_is_no_hashpath_is_refused(left: str) -> None:
    with pytest.raises(BadRequest):
        extend(left, "x")


def test_number_has_no_hashpath() -> None:
    with pytest.raises(BadRequest, match="no hashpath of the integer 7"):
        hashpath_of(7)


@given(ids, st.lists(st.one_of(ids, st.text("abc", min_size=1)), min_size=2, max_size=6))
def test_every_step_changes_everything_before_it(base: str, parts: list[str]) -> None:
    path = base
    for part in parts:
        path = extend(path, part)
    changed = extend(base, "x" + parts[0])
    for part in parts[1:]:
        changed = extend(changed, part)

    assert path.endswith("/" + parts[-1])
    assert path.count("/") == 1
    assert path != changed


def test_history_holds_if_each_result_names_its_origin() -> None:
    base, first = Message(a=1), Message(path="b", k="v")
    second = Message(path="c").with_hashpath(hashpath(base, first))
    third = Message(path="d").with_hashpath(hashpath(first, second))

    assert verify_history([base, first, second, third])
    assert verify_history([base, first])
    assert not verify_history([base, second, first])
    assert not verify_history([base, first, second, third.with_hashpath(None)])
