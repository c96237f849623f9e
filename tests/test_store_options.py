"""Options of stores: text from URIs, typed values from files, and errors that help."""

import pytest

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.store_options import StoreOptions


def test_text_and_typed_options_read_the_same():
    for given in (
        {"sync": "no", "max_readers": "7", "capacity": "64MiB", "wait": "1.5", "mode": "b"},
        {"sync": False, "max-readers": 7, "capacity": 64 << 20, "wait": 1.5, "mode": "b"},
    ):
        options = StoreOptions("x", given)
        assert options.flag("sync", True) is False
        assert options.count("max-readers", 1) == 7
        assert options.size("capacity", 0) == 64 << 20
        assert options.seconds("wait", 9) == 1.5
        assert options.choice("mode", "a", ("a", "b")) == "b"
        options.done()


def test_missing_options_have_their_defaults():
    options = StoreOptions("x", {})
    assert options.flag("sync", True) is True
    assert options.text("name", "n") == "n"
    assert options.value("other") is None
    options.done()


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("2k", 2048), ("2KiB", 2048), ("3MB", 3 << 20), ("4 GiB", 4 << 30), ("1t", 1 << 40)],
)
def test_sizes(text: str, size: int):
    assert StoreOptions("x", {"s": text}).size("s", 0) == size


@pytest.mark.parametrize(
    ("read", "given"),
    [
        (lambda o: o.flag("o", True), "maybe"),
        (lambda o: o.size("o", 1), "0"),
        (lambda o: o.size("o", 1), "lots"),
        (lambda o: o.count("o", 1), "0"),
        (lambda o: o.count("o", 1), "1.5"),
        (lambda o: o.seconds("o", 1), "inf"),
        (lambda o: o.seconds("o", 1), -1),
        (lambda o: o.text("o", ""), ["list"]),
        (lambda o: o.choice("o", "a", ("a",)), "z"),
    ],
)
def test_an_option_that_does_not_fit_names_itself_and_what_fits(read, given):
    with pytest.raises(ConfigError, match=r"store x: option 'o' is .*; expected "):
        read(StoreOptions("x", {"o": given}))


def test_unknown_options_suggest_the_nearest():
    options = StoreOptions("x", {"capcity": "1"})
    options.size("capacity", 0)
    with pytest.raises(ConfigError, match="no option 'capcity'; did you mean 'capacity'"):
        options.done()
    with pytest.raises(ConfigError, match="known are: none"):
        StoreOptions("x", {"zzz": "1"}).done()
