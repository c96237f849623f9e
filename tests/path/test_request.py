"""What of a request goes with the elements of its path."""

from __future__ import annotations

from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.message import As, Link, Message
from hyperbeam_trio.path import parse, parse_request

ID = "e5ohB7TgMYRoc0BLllkmAqkqLy1SrliEkOPJlNPXBQ8"


def commitment(id: str, *committed: str) -> Commitment:
    return Commitment(id, "httpsig@1.0", "rsa-pss-sha512", b"s", committed, committer="me")


def messages(sequence: list[object]) -> list[Message]:
    return [element for element in sequence if isinstance(element, Message)]


def test_bytes_and_text_say_the_same() -> None:
    assert parse("/é&k=ü") == parse("/é&k=ü".encode()) == parse("/%C3%A9&k=%c3%bc")


def test_a_path_of_parts_is_joined() -> None:
    assert parse_request(Message(path=["a", "b", 1])) == parse("/a/b/1")


def test_a_request_without_a_path_asks_for_nothing() -> None:
    assert parse_request(Message(k="v")) == []


def test_nested_values_reach_every_element_as_they_are() -> None:
    body = Message(a=1)
    sequence = parse_request(Message(path="/~d@1.0/push", body=body, list=[1, 2]))

    assert isinstance(sequence[0], As)
    assert sequence[0].message["body"] is body
    assert sequence[1] == Message(path="push", body=body, list=[1, 2])


def test_repeated_paths_share_their_elements() -> None:
    first, again = parse("/shared/elements"), parse("/shared/elements")

    assert first is not again
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_a_query_wins_over_a_key_and_a_segment_over_both() -> None:
    sequence = parse_request(Message({"path": "/a/b&k=inline?k=query", "k": "header"}))

    assert [element["k"] for element in messages(sequence)] == [b"query", b"query", b"inline"]


def test_keys_of_a_message_keep_spaces_that_a_query_would_take_for_a_type() -> None:
    assert parse_request(Message({"path": "/a", "my key": "v"}))[0] == Message({"my key": "v"})


def test_commitments_go_with_the_elements_that_hold_what_they_commit() -> None:
    signed = Message(path="/a/b&k=other?q=1", k="v").with_commitments([commitment("c", "k")])

    base, a, b = messages(parse_request(signed))

    assert [list(element.commitments) for element in (base, a, b)] == [["c"], ["c"], []]
    assert b["k"] == b"other"


def test_a_commitment_to_the_path_does_not_cover_its_elements() -> None:
    signed = Message(path="/a", k="v").with_commitments([commitment("c", "k", "path")])

    base, a = messages(parse_request(signed))

    assert not base.commitments
    assert not a.commitments
    assert a.private["singleton"] is signed


def test_private_data_goes_with_every_element() -> None:
    request = Message({"path": f"/~d@1.0/{ID}/a", "1.k": "v"}).with_private(ip="192.0.2.1")

    cast, link, a = parse_request(request)

    assert isinstance(cast, As)
    assert cast.message.private == {"ip": "192.0.2.1"}
    assert link == Link(ID)
    assert isinstance(a, Message)
    assert a.private == {"ip": "192.0.2.1"}
    assert "singleton" not in a.private


def test_private_requests_are_spread_like_others() -> None:
    request = Message({"path": "/a/b&i=1?q+int=2", "0.k": "v", "n+integer": "5", "g": "w"})

    assert parse_request(request.with_private(ip="x")) == parse_request(request)
