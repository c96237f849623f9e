"""Every row of the protocol's table of worked paths, column N (spec/03 §14.6)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import As, Link, Message, Resolve, Value
from hyperbeam_trio.path import parse_request
from tests.vectors import notation

ID = "e5ohB7TgMYRoc0BLllkmAqkqLy1SrliEkOPJlNPXBQ8"
LINK = Link(ID)


def m(path: str = "", /, **keys: object) -> Message:
    """A request with header `h`, as the rows show it."""
    return Message({"h": "H", **({"path": path} if path else {}), **keys})


def bare(path: str = "", /, **keys: object) -> Message:
    """A request without the header: elements inside a sub-path."""
    return Message({**({"path": path} if path else {}), **keys})


def sub(*keys: str) -> Resolve:
    return Resolve((Message(), *(bare(key) for key in keys)))


def as_(device: str, message: Message) -> As:
    return As(device.encode(), message)


ROWS: list[tuple[str, str, list[Value]]] = [
    ("1", "/a", [m(), m("a")]),
    ("1 without slash", "a", [m(), m("a")]),
    ("1 trailing slash", "/a/", [m(), m("a")]),
    ("1 double slash", "//a", [m(), m("a")]),
    ("2", "/a/b/c", [m(), m("a"), m("b"), m("c")]),
    ("3", "/", []),
    ("4", f"/{ID}", [LINK]),
    ("5", f"/{ID}/a", [LINK, m("a")]),
    ("6", f"/{ID}x", [m(), m(ID + "x")]),
    ("7", f"/a/{ID}/b", [m(), m("a"), LINK, m("b")]),
    ("8", "/a?x=1", [m(x="1"), m("a", x="1")]),
    ("9", "/a?x", [m(x=True), m("a", x=True)]),
    ("10", "/a?x=1&x=2", [m(x="2"), m("a", x="2")]),
    ("11", "/a?x+integer=5", [m(x=5), m("a", x=5)]),
    ("12", "/a?x+integer=05", [m(x=5), m("a", x=5)]),
    ("13", "/a?x+float=1.5", [m(x=1.5), m("a", x=1.5)]),
    ("14", "/a?x+atom=true", [m(x=True), m("a", x=True)]),
    ("15", "/a?x+list=1,2", [m(x=[1, 2]), m("a", x=[1, 2])]),
    ("16", '/a?x+list="1","2"', [m(x=[1, 2]), m("a", x=[1, 2])]),
    ("17", "/a?x+list=%5C%221%5C%22,%5C%222%5C%22", [m(x=["1", "2"]), m("a", x=["1", "2"])]),
    ("18", "/a?x+map=a=1", [m(x={"a": 1}), m("a", x={"a": 1})]),
    ("21", "/a/b/c?2.k=v", [m(), m("a"), m("b", k="v"), m("c")]),
    ("22", "/a/b?0.k=v", [m(k="v"), m("a"), m("b")]),
    ("23", f"/{ID}/b?1.k=v", [LINK, m("b", k="v")]),
    ("24", "/a/b?9.k=v", [m(), m("a"), m("b")]),
    ("25", "/a/b?1.k+integer=5", [m(), m("a", k=5), m("b")]),
    ("27", "/a?x.y.z=v", [m(**{"x.y.z": "v"}), m("a", **{"x.y.z": "v"})]),
    ("28", "/a/b&k=v/c", [m(), m("a"), m("b", k="v"), m("c")]),
    ("29", "/a/b&k/c", [m(), m("a"), m("b", k=True), m("c")]),
    ("30", "/a/b&k=v&j=w", [m(), m("a"), m("b", k="v", j="w")]),
    ("31", "/a/b&k+integer=7", [m(), m("a"), m("b", k=7)]),
    ("32", "/a/b&k=a=b", [m(), m("a"), m("b", k="a=b")]),
    ("33", "/a/b=4/c", [m(), m("a"), m("b", b="4"), m("c")]),
    ("34", "/a/b+integer=4/c", [m(), m("a"), m("b", b=4), m("c")]),
    ("35", "/a/b&k=I?k=G", [m(k="G"), m("a", k="G"), m("b", k="I")]),
    ("36", "/a=1?a=2", [m(a="2"), m("a", a="1")]),
    ("37", "/~d@1.0/x", [as_("d@1.0", m()), m("x")]),
    ("38", "/~d@1.0&k=v/x", [as_("d@1.0", m(k="v")), m("x")]),
    ("39", "/~d@1.0&k=v?k=G", [as_("d@1.0", m(k="v"))]),
    ("40", "/s~d@1.0/x", [as_("d@1.0", m("s")), m("x")]),
    ("41", f"/{ID}~d@1.0/x", [as_("d@1.0", Message(path=LINK)), m("x")]),
    ("42", f"/{ID}~d@1.0&k=v/x", [as_("d@1.0", Message(path=LINK, k="v")), m("x")]),
    ("43", f"/{ID}~d@1.0?k=v", [as_("d@1.0", Message(path=LINK))]),
    ("44", f"/{ID}&k=v/x", [m(), m(ID, k="v"), m("x")]),
    ("45", "/a/~d@1.0/x", [m(), m("a"), as_("d@1.0", m()), m("x")]),
    ("46", "/a/s~d@1.0&k=v/x", [m(), m("a"), as_("d@1.0", m("s", k="v")), m("x")]),
    ("47", "/~d@1.0/~e@1.0/x", [as_("d@1.0", m()), as_("e@1.0", m()), m("x")]),
    ("48", "/a/(x/y)/z", [m(), m("a"), sub("x", "y"), m("z")]),
    ("49", "/(x/y)/z", [sub("x", "y"), m("z")]),
    ("50", "/(/a/b)", [sub("a", "b")]),
    ("51", "/a/()/b", [m(), m("a"), Resolve(()), m("b")]),
    ("52", "/a/b&k=(/x/y)/c", [m(), m("a"), m("b", k=sub("x", "y")), m("c")]),
    (
        "53",
        "/a/b&k=(x&j=(y/z))/c",
        [m(), m("a"), m("b", k=Resolve((Message(), bare("x", j=sub("y", "z"))))), m("c")],
    ),
    (
        "54",
        "/a/b&k=(/x?y=1)/c",
        [m(), m("a"), m("b", k=Resolve((bare(y="1"), bare("x", y="1")))), m("c")],
    ),
    (
        "55",
        "/a/b?k+resolve=/x/y",
        [m(k=sub("x", "y")), m("a", k=sub("x", "y")), m("b", k=sub("x", "y"))],
    ),
    ("56", "/a~(x/y)/b", [As(sub("x", "y"), m("a")), m("b")]),
    ("57", '/a/b&k="v/1"/c', [m(), m("a"), m("b", k="v/1"), m("c")]),
    ("57 encoded", "/a/b&k=%22v/1%22/c", [m(), m("a"), m("b", k="v/1"), m("c")]),
    ("58", '/a&b="c&d"', [m(), m("a", b="c&d")]),
    (
        "59",
        '/~p@1.0/eval="~meta@1.0/info"',
        [as_("p@1.0", m()), m("eval", eval="~meta@1.0/info")],
    ),
    ("60", "/a?q=%22x%20y%22", [m(q="x y"), m("a", q="x y")]),
    ("61", "/a%2Fb/c", [m(), m("a"), m("b"), m("c")]),
    ("62", "/a?k=a+b", [m(k="a b"), m("a", k="a b")]),
    ("63", "/a?k=a%2Bb", [m(k="a b"), m("a", k="a b")]),
    ("64", "/a?k=%252B", [m(k="+"), m("a", k="+")]),
    ("65", "/%2561", [m(), m("%61")]),
    ("66", "/a b", [m(), m("a")]),
    ("68", "/a&&b", [m(), m("a", b=True)]),
    ("69", "/a/b&k=a%26b", [m(), m("a"), m("b", k="a", b=True)]),
    (
        "75",
        f"/{ID}~process@1.0/compute/results=7",
        [as_("process@1.0", Message(path=LINK)), m("compute"), m("results", results="7")],
    ),
    (
        "76",
        f"/{ID}~process@1.0/as=execution/compute&Action=Info",
        [
            as_("process@1.0", Message(path=LINK)),
            m("as", **{"as": "execution"}),
            m("compute", Action="Info"),
        ],
    ),
    (
        "object",
        f"/{ID}~manifest@1.0/[object Object]",
        [
            as_("manifest@1.0", Message(path=LINK)),
            m("[object"),
        ],
    ),
]


@pytest.mark.parametrize(
    ("path", "expected"), [pytest.param(path, want, id=f"row {row}") for row, path, want in ROWS]
)
def test_row_of_the_table(path: str, expected: list[Value]) -> None:
    parsed = parse_request(Message(path=path, h="H"))

    assert [notation(element) for element in parsed] == [notation(e) for e in expected]


@pytest.mark.parametrize(
    ("row", "request_", "expected"),
    [
        (
            "70",
            {"path": "/chunk&offset=377813969707255&length=262144"},
            [{}, {"path": "chunk", "offset": "377813969707255", "length": "262144"}],
        ),
        ("71", {"path": "/a", "a": "b"}, [{"a": "b"}, {"path": "a", "a": "b"}]),
        ("72", {"path": f"/{ID}/a", "a": "b"}, [{"$link": ID}, {"path": "a", "a": "b"}]),
        (
            "73",
            {"path": "/a/b/c", "2.test-key+integer": "123"},
            [{}, {"path": "a"}, {"path": "b", "test-key": 123}, {"path": "c"}],
        ),
        (
            "74",
            {"path": "/a/b/c", "2.test-key+resolve": "/x/y/z"},
            [
                {},
                {"path": "a"},
                {"path": "b", "test-key": notation(sub("x", "y", "z"))},
                {"path": "c"},
            ],
        ),
    ],
)
def test_row_with_other_keys(row: str, request_: dict[str, str], expected: list[object]) -> None:
    parsed = parse_request(Message(request_))

    assert [notation(element) for element in parsed] == expected


@pytest.mark.parametrize(
    ("row", "path", "part", "at"),
    [
        ("20", "/a?x+float=5", "x+float=5", 3),
        ("67", "/a%zz", "%zz", 2),
    ],
)
def test_row_that_is_an_error(row: str, path: str, part: str, at: int) -> None:
    with pytest.raises(PathError) as caught:
        parse_request(Message(path=path, h="H"))

    assert caught.value.status == 400
    assert caught.value.details == {"path": part, "at": at}


def test_row_19_is_an_alias_here() -> None:
    # spec/README decision 3: `+int` is integer, `+res` is resolve, `+bool` takes true and false.
    parsed = parse_request(Message(path="/a&x+int=5&y+res=b&z+bool=true"))

    assert parsed[1] == bare("a", x=5, y=sub("b"), z=True)


def test_row_26_is_an_ordinary_key_here() -> None:
    # spec/README decision 3: one dot behind a name that is no number scopes nothing.
    assert parse_request(Message(path="/a?foo.bar=v")) == [
        bare(**{"foo.bar": "v"}),
        bare("a", **{"foo.bar": "v"}),
    ]
