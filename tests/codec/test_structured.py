"""structured@1.0: typed values as text, and the forms that older peers wrote."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.structured import from_tabm, to_tabm
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import As, Atom, Link, Message, Resolve
from tests import vectors

FILES = ["n-structured_tabm.json", "structured_tabm.json"]

# Read by us although the peer could not, as the specification asks (spec/01 §4.1, §4.4, §15).
OURS = {
    "decode: message-is-list": ["a", 5],
}


def forward(case):
    return "message" in case


def backward(case):
    return "tabm" in case and "decoded" in case


@vectors.each(FILES[0], forward)
def test_november_form_is_written_to_the_byte(case):
    message = vectors.value(case["message"])
    assert to_tabm(message, bundle=True) == vectors.tabm(case["tabm_bundled"])
    assert to_tabm(message) == vectors.tabm(case["tabm_linked"])


@vectors.each(FILES[0], forward)
def test_november_form_is_read_back(case):
    back = from_tabm(vectors.tabm(case["tabm_bundled"]))
    assert vectors.notation(back) == vectors.normal(case["message"])


@vectors.each(FILES[0], backward)
def test_november_form_reads_what_others_write(case):
    expected = OURS.get(case["name"], case["decoded"])
    tabm = vectors.tabm(case["tabm"])
    if vectors.is_error(expected) or case["name"] == "decode: bad-integer":
        with pytest.raises(BadRequest, match=r"'a'|'l'|list"):
            from_tabm(tabm)
    else:
        assert vectors.notation(from_tabm(tabm)) == vectors.normal(expected)


@vectors.each(FILES[1], forward)
def test_june_form_is_read(case):
    back = from_tabm(vectors.tabm(case["tabm_bundled"]))
    if vectors.is_error(case["back_from_bundled"]):
        assert vectors.notation(back) == vectors.normal(case["message"])
    else:
        assert vectors.notation(back) == vectors.normal(case["back_from_bundled"])


def test_links_take_the_signed_id_of_a_signed_child():
    case = vectors.cases("n-httpsig_signed.json", lambda c: c["name"] == "signed-in-signed-body")[0]
    child = vectors.message(case["extra"]["child"])
    linked = to_tabm(Message({"body": child, "type": "Message"}))
    assert linked["body+link"].decode() == case["message"]["body"]["$link"]


def test_a_list_stands_for_itself_with_its_own_type():
    tabm = {"1": b"1", "2": b"two", "3": b"3.00000000000000000000e+00", "4": {"1": b"4"}}
    tabm["ao-types"] = b'.="list", 1="integer", 3="float"'
    tabm["4"]["ao-types"] = b'.="list", 1="integer"'
    assert to_tabm([1, b"two", 3.0, [4]], bundle=True) == tabm
    assert from_tabm(tabm) == [1, b"two", 3.0, [4]]


def test_private_and_regenerated_keys_never_leave():
    message = Message(
        {"a": 1, "priv": "x", "private": Message(), "content-digest": "y", "unsigned_id": 2}
    )
    assert to_tabm(message) == {"a": b"1", "ao-types": b'a="integer"'}


def test_private_keys_never_enter():
    assert from_tabm({"a": b"1", "priv": b"x", "priv_y": {}, "private+link": b"z"}) == Message(
        a="1"
    )


def test_links_and_sequences_keep_their_kind():
    id = "JvUVR_iZb6JXTgNMSPZMMbNR-KS8ohTkcHGFCBUjRvk"
    sequence = Resolve((Message(), As(b"dev@1.0", Message(path="x"))))
    message = Message({"a": Link(id), "b": [Link(id)], "c": sequence})
    tabm = to_tabm(message, bundle=True)
    assert tabm["a+link"] == id.encode()
    assert from_tabm(tabm, internal=True) == message


@pytest.mark.parametrize("value", [Resolve((b"x",)), As(b"dev@1.0", Message())])
def test_sequences_can_not_be_sent_by_others(value):
    with pytest.raises(BadRequest, match="can't be of the type"):
        from_tabm(to_tabm(Message.of({"a": value})))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Link("x" * 43, "binary", 9000), "'a' has to be loaded first"),
        (Atom("no token"), "'a' can't be encoded"),
        (10**5000, "'a' has an integer of over 4300 digits"),
    ],
    ids=["unloaded", "atom", "huge"],
)
def test_what_has_no_text_is_refused_by_its_key(value, problem):
    with pytest.raises(BadRequest, match=problem):
        to_tabm(Message.of({"a": value}))


def test_commitments_ride_along_at_every_level():
    case = vectors.cases("n-httpsig_signed.json", lambda c: c["name"] == "two-signers")[0]
    inner = {
        **case["message"],
        "commitments": {k: v["commitment"] for k, v in case["commitments"].items()},
    }
    message = Message({"inner": vectors.message(inner)})
    back = from_tabm(to_tabm(message, bundle=True))
    assert back == message
    assert back.message("inner").commitments == message.message("inner").commitments
    assert len(back.message("inner").commitments) == 3


# Forms of May 2025, and what JavaScript clients write.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b'"(ao-type-integer) 1", "two", 3, ?1, "(ao-type-float) 3.5e+00"',
            [1, b"two", 3, True, 3.5],
        ),
        (b'"(ao-type-atom) \\"true\\"", "(ao-type-empty-list) "', [True, []]),
        (b"(ao-type-integer) 1,(ao-type-binary) two, three", [1, b"two, three"]),
        (b'"(ao-type-list) \\"(ao-type-integer) 1\\", \\"x\\""', [[1, b"x"]]),
        (b"", []),
    ],
)
def test_lists_in_one_line(text, expected):
    assert from_tabm({"l": text, "ao-types": b'l="list"'}) == Message.of({"l": expected})


def test_the_parent_may_say_that_a_child_is_a_list():
    tabm = {"l": {"2": {"b": b"2"}, "1": {"a": b"1"}}, "ao-types": b'l="list"'}
    assert from_tabm(tabm) == Message({"l": [{"a": "1"}, {"b": "2"}]})


def test_empty_values_may_be_announced_by_type_alone():
    tabm = {"ao-types": b'a="empty-binary", b="empty-list", c="empty-message", d="integer"'}
    assert from_tabm(tabm) == Message()
    assert from_tabm(tabm, empties=True) == Message(a="", b=[], c={})


def test_a_map_in_one_line():
    tabm = {"m": b'a=1, b, c="x"', "ao-types": b'm="map"'}
    assert from_tabm(tabm) == Message(m={"a": 1, "b": True, "c": "x"})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "integer"),
        (b"1.0", "integer"),
        (b"9" * 4301, "integer"),
        (b"2", "float"),
        (b"1.0e999", "float"),
        (b"nan", "float"),
        (b"?1", "atom"),
        (b"", "atom"),
        (b'"(ao-type-zorkmid) 1"', "list"),
        (b"(1", "list"),
        (b"a=", "map,"),
        (b"x", "empty-list"),
    ],
)
def test_text_that_is_not_of_its_type_is_refused_by_its_key(text, kind):
    with pytest.raises(BadRequest, match=r"'some-key'|ao-types"):
        from_tabm({"some-key": text, "ao-types": f'some-key="{kind}"'.encode()})


@pytest.mark.parametrize(
    "tabm",
    [
        {"a+link": b"short"},
        {"a+link": {}},
        {"ao-types": {}},
        {"commitments": b"x"},
        {"commitments": {"id": b"x"}},
        {"commitments": {"id": {"type": b"hmac-sha256"}}},
        {"ao-types": b'.="resolve"'},
        {"1": b"x", "3": b"y", "ao-types": b'.="list"'},
    ],
)
def test_malformed_members_are_refused(tabm):
    with pytest.raises(BadRequest):
        from_tabm(tabm)


def test_nesting_is_bounded_both_ways():
    deep: list = []
    tabm: dict = {}
    for _ in range(300):
        deep, tabm = [deep], {"a": tabm}
    with pytest.raises(BadRequest, match="nested over 256"):
        to_tabm(Message(deep=deep), bundle=True)
    with pytest.raises(BadRequest, match="nested over 256"):
        from_tabm(tabm)
