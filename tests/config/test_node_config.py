"""The configuration as a value: typed, frozen, fit to be shown."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.config import OPTIONS, NodeConfig, options_table
from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.message import Message, to_plain
from hyperbeam_trio.store import StoreSpec


def test_what_stores_get_by_default_is_shown_to_nobody():
    config = NodeConfig().with_options({"store-defaults": {"s3": {"secret-key": "hush"}}})
    shown = config.to_message()
    assert "store-defaults" not in shown
    assert "hush" not in str({key: to_plain(value) for key, value in shown.items()})


def test_options_are_attributes_and_names() -> None:
    config = NodeConfig(idle_timeout=5, **{"default-codec": "json@1.0"})

    assert config.idle_timeout == config.get("idle-timeout") == config.get("idle_timeout") == 5
    assert config.default_codec == "json@1.0"


def test_it_is_frozen() -> None:
    config = NodeConfig(on={"start": {"device": "a"}})

    with pytest.raises(AttributeError, match="frozen"):
        config.port = 1
    with pytest.raises(TypeError):
        config.on["x"] = 1  # type: ignore[index]  # the point of the test


def test_it_follows_no_later_change_of_what_it_was_given() -> None:
    given: dict[str, dict[str, object]] = {"start": {"device": "a"}}
    config = NodeConfig(on=given)
    given["start"]["device"] = "b"

    assert config.on == {"start": {"device": "a"}}


def test_changed_options_make_another_configuration() -> None:
    config = NodeConfig(port=1, on={"start": {"device": "a"}})
    changed = config.with_options({"default-codec": "json@1.0"}, port=2)

    assert (config.port, changed.port, changed.default_codec) == (1, 2, "json@1.0")
    assert changed.on == config.on
    assert config.with_options() is config
    assert config.with_options(on={"step": {"device": "b"}}).on == {"step": {"device": "b"}}


def test_equal_options_make_equal_configurations() -> None:
    assert NodeConfig(port=8734) == NodeConfig()
    assert NodeConfig(port=1) != NodeConfig()
    assert NodeConfig() != "config"


def test_it_can_be_handed_to_another_process() -> None:
    config = NodeConfig(port=1, store=["memory:"], on={"start": [{"device": "a"}]})

    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("port", "80a", "port: '80a' does not fit; expected a whole number from 0 to 65535."),
        ("port", 65536, "port: 65536 does not fit"),
        ("port", True, "port: True does not fit"),
        ("port", 1.5, "port: 1.5 does not fit"),
        ("wasm-time-limit", "soon", "expected a number of seconds from 0.001"),
        ("wasm-time-limit", float("nan"), "wasm-time-limit: nan does not fit"),
        ("wasm-time-limit", 10**400, "wasm-time-limit: 1000"),
        ("max-body", "1 MB/s", "expected a size such as 1048576 or 64MiB"),
        ("max-body", -1, "max-body: -1 does not fit"),
        ("force-signed", "maybe", "expected true or false"),
        ("force-signed", 2, "force-signed: 2 does not fit"),
        ("mode", "prd", "expected one of debug, prod. Did you mean prod?"),
        ("initialized", 1, "expected one of true, false, permanent"),
        ("gateway", 5, "gateway: 5 does not fit; expected text"),
        ("gateway", "", "gateway: '' does not fit; expected text"),
        ("gateway", b"\xff", "does not fit; expected text"),
        ("on", "x", "on: 'x' does not fit; expected a table"),
        ("on", "{", "on: '{' does not fit; expected a table"),
        ("on", {"start": float("inf")}, "on: {'start': inf} does not fit"),
        ("on", {"start": object}, "does not fit; expected a table"),
        ("cache-writers", 5, "expected a list, each item text"),
        ("cache-writers", {"1": "a", "3": "b"}, "expected a list, each item text"),
        ("http-retry-response", [200], "each item a whole number from 400 to 599"),
        ("store", ["./data"], "each item a URI such as lmdb:./data"),
        ("store", [{"location": "x"}], "each item a URI such as lmdb:./data"),
        ("store", [5], "each item a URI such as lmdb:./data"),
        ("default-index", 5, "ui, text, a device"),
        ("prot", 1, "prot: there is no such option. Did you mean port"),
        ("zzzzzz", 1, "zzzzzz: there is no such option."),
    ],
)
def test_a_mistake_names_the_option_the_value_and_what_fits(
    option: str, value: object, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeConfig(**{option: value})

    assert says in caught.value.text


def test_an_option_that_there_is_not_can_not_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="prot: there is no such option"):
        NodeConfig().get("prot")


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        ("port", "0", 0),
        ("port", b"17", 17),
        ("force-signed", "yes", True),
        ("force-signed", 0, False),
        ("initialized", True, "true"),
        ("max-body", "2GiB", 2 << 30),
        ("max-body", 7, 7),
        ("wasm-time-limit", 3, 3.0),
        ("wasm-fuel-limit", None, None),
        ("wasm-fuel-limit", "", None),
        ("wasm-fuel-limit", "9", 9),
        ("process-fuel-limit", "", None),
        ("cache-writers", "a, b,", ("a", "b")),
        ("cache-writers", {"1": "a", "2": "b"}, ("a", "b")),
        ("cache-writers", '["a"]', ("a",)),
        ("on", '{"start": {"k": [1]}}', {"start": {"k": (1,)}}),
        ("on", Message(start={"k": 1}), {"start": {"k": 1}}),
        ("default-index", "ui", {"device": "hyperbuddy@1.0"}),
        ("default-index", "d@1.0/k", {"device": "d@1.0", "path": "k"}),
        ("default-index", {"device": "d@1.0"}, {"device": "d@1.0"}),
        ("name-resolvers", ["/x", {"device": "d"}], ("/x", {"device": "d"})),
        ("store", [StoreSpec("memory")], (StoreSpec("memory"),)),
        ("store", [{"scheme": "fs", "location": "x"}], (StoreSpec("fs", "x"),)),
    ],
)
def test_values_take_the_type_of_the_option(option: str, value: object, read: object) -> None:
    assert NodeConfig(**{option: value}).get(option) == read


def test_defaults_of_a_scheme_lie_under_the_options_of_its_stores() -> None:
    config = NodeConfig(
        store=["lmdb:a", {"scheme": "lmdb", "location": "b", "sync": "no"}, "memory:"],
        store_defaults={"lmdb": {"sync": "yes", "readers": 9}},
    )

    assert [spec.options for spec in config.stores()] == [
        {"sync": "yes", "readers": 9},
        {"sync": "no", "readers": 9},
        {},
    ]


def test_limits_of_the_front_door() -> None:
    assert NodeConfig().http_limits() == Limits(body_bytes=4 << 30)
    changed = NodeConfig(max_body=5, max_item=4, idle_timeout=1500, http_requests=2).http_limits()
    assert (changed.body_bytes, changed.idle_seconds, changed.requests) == (5, 1.5, 2)


def test_the_public_view_has_nothing_private() -> None:
    view = NodeConfig(
        priv_key_location="secret-place.json",
        identities={
            "other": {"priv-wallet": "secret-place", "name": "x", "store": "s3:b?key=secret-place"}
        },
        device_options={"mine@1.0": {"token": "secret-place"}},
        on={"start": [{"device": "d", "priv": {"k": "secret-place"}}]},
        store=[
            {"scheme": "s3", "location": "bucket", "key": "secret-place"},
            "fs:x?k=secret-place",
        ],
        gateway="https://me:secret-place@example.org/",
    ).to_message()

    assert "secret-place" not in repr(view)
    assert view["store"] == [b"s3:bucket", b"fs:x"]
    assert view["identities"] == Message(other={"name": "x"})
    assert view["gateway"] == b"https://example.org/"
    assert view["port"] == 8734
    assert view["force-signed"] is True
    assert "operator" not in view


def test_its_text_shows_what_was_set_alone() -> None:
    config = NodeConfig(port=1, store=["memory:"])

    assert repr(config) == "NodeConfig(port=1, store=['memory:'])"


def test_every_option_is_in_the_table_once() -> None:
    rows = options_table()

    assert sorted(row.name for row in rows) == sorted(OPTIONS)
    for row in rows:
        assert row.doc
        assert row.variable == "HB_" + row.name.replace("-", "_").upper()


@given(st.sampled_from(sorted(OPTIONS)))
def test_every_default_is_a_value_of_its_type(name: str) -> None:
    default = next(row.default for row in options_table() if row.name == name)

    assert NodeConfig(**{name: default}).get(name) == NodeConfig().get(name)


@given(
    st.sampled_from(sorted(OPTIONS)),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=5,
    ),
)
def test_any_value_is_read_or_refused(name: str, value: object) -> None:
    try:
        config = NodeConfig(**{name: value})
    except ConfigError as error:
        refused = error.text
    else:
        refused = None
        assert isinstance(config.to_message(), Message)
    assert refused is None or refused.startswith(f"{name}: ")


def test_reading_a_configuration_loads_neither_trio_nor_codecs() -> None:
    heavy = {"trio", "json", "tomllib", "http_sf", "immutables", "hyperbeam_trio.store", "difflib"}
    code = (
        "import sys; from hyperbeam_trio.config import NodeConfig; NodeConfig.from_sources("
        "environ={'HB_PORT': '1'}); print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert heavy.isdisjoint(done.stdout.split())
