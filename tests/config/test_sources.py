"""Files, environment and flags make one configuration; later wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import ConfigError

TOML = """
port = 9001
mode = "prod"
store = ["memory:", { scheme = "s3", location = "bucket", secret-key = "hush" }]
force_signed = false

[on]
start = { device = "a@1.0" }

[[routes]]
template = "/x"
node = { prefix = "http://localhost:1" }
"""

FLAT = """
# A comment, and a blank line.

port: 9002
mode: prod
force-signed: false
wasm-time-limit: 1.5
max-body: 1MiB
store: memory:, fs:./x
on/start/device: a@1.0
on/request/1/device: b@1.0
on/request/2/device: c@1.0
routes/1/template: /x
routes/1/node: http://localhost:1?a=b: c
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_defaults_need_no_source() -> None:
    config = NodeConfig.from_sources()

    assert (config.host, config.port, config.mode) == ("127.0.0.1", 8734, "debug")
    assert config.store == ("lmdb:./data",)
    assert config.priv_key_location == "hyperbeam-key.json"


def test_a_toml_file(tmp_path: Path) -> None:
    config = NodeConfig.from_sources([written(tmp_path, "node.toml", TOML)])

    assert (config.port, config.mode, config.force_signed) == (9001, "prod", False)
    assert [str(spec) for spec in config.stores()] == ["memory:", "s3:bucket"]
    assert config.stores()[1].options == {"secret-key": "hush"}
    assert config.on == {"start": {"device": "a@1.0"}}
    assert config.routes == ({"template": "/x", "node": {"prefix": "http://localhost:1"}},)


def test_a_json_file(tmp_path: Path) -> None:
    text = '{"port": 9001, "operator": null, "trusted_proxies": ["10.0.0.1"]}'
    config = NodeConfig.from_sources([written(tmp_path, "node.json", text)])

    assert (config.port, config.operator, config.trusted_proxies) == (9001, None, ("10.0.0.1",))


@pytest.mark.parametrize("name", ["config.flat", "config"])
def test_a_flat_file_takes_the_types_of_the_options(name: str, tmp_path: Path) -> None:
    config = NodeConfig.from_sources([str(written(tmp_path, name, FLAT))])

    assert (config.port, config.mode, config.force_signed) == (9002, "prod", False)
    assert (config.wasm_time_limit, config.max_body) == (1.5, 1 << 20)
    assert config.store == ("memory:", "fs:./x")
    assert config.on["start"] == {"device": "a@1.0"}
    assert config.on["request"] == {"1": {"device": "b@1.0"}, "2": {"device": "c@1.0"}}
    assert config.routes == ({"template": "/x", "node": "http://localhost:1?a=b: c"},)


def test_the_environment() -> None:
    config = NodeConfig.from_sources(
        environ={
            "HB_PORT": "9003",
            "HB_KEY": "other.json",
            "HB_FORCE_SIGNED": "0",
            "HB_STORE": "memory:,lmdb:x",
            "HB_ON": '{"start": {"device": "a@1.0"}}',
            "HB_HTTP_RETRY_RESPONSE": "[502, 503]",
            "HB_INDEX": "text",
            "HB_OPERATOR": "",
            "HB_PRINT": "all",
            "PORT": "1",
        }
    )

    assert (config.port, config.priv_key_location) == (9003, "other.json")
    assert (config.force_signed, config.store) == (False, ("memory:", "lmdb:x"))
    assert config.on == {"start": {"device": "a@1.0"}}
    assert config.http_retry_response == (502, 503)
    assert config.default_index == {"device": "hyperbuddy@1.0", "path": "format"}
    assert config.operator is None


def test_later_sources_win(tmp_path: Path) -> None:
    first = written(tmp_path, "1.toml", 'port = 2\nhost = "file"\nmode = "prod"')
    second = written(tmp_path, "2.json", '{"host": "second"}')
    environ = {"HB_PORT": "1", "HB_HOST": "environment", "HB_OPERATOR": "me"}

    config = NodeConfig.from_sources([first, second], environ, {"port": 3, "wallet": None})

    assert (config.operator, config.mode, config.host, config.port) == ("me", "prod", "second", 3)


def test_tables_are_merged_key_by_key(tmp_path: Path) -> None:
    first = written(
        tmp_path, "1.toml", "[on]\nstart = {device = 'a', x = 1}\nstep = {device = 'b'}"
    )
    second = written(tmp_path, "2.toml", "[on.start]\ndevice = 'c'\n[http-extra-opts]\nk = true")

    config = NodeConfig.from_sources([first, second])

    assert config.on == {"start": {"device": "c", "x": 1}, "step": {"device": "b"}}
    assert config.http_extra_opts == {
        "force-message": True,
        "cache-control": ("always",),
        "k": True,
    }


def test_files_of_the_environment_are_read_if_no_others_are_given(tmp_path: Path) -> None:
    first = written(tmp_path, "1.toml", "port = 1")
    second = written(tmp_path, "2.toml", "port = 2")
    other = written(tmp_path, "3.toml", "port = 3")

    assert NodeConfig.from_sources(environ={"HB_CONFIG": f"{first}, {second}"}).port == 2
    assert NodeConfig.from_sources([other], {"HB_CONFIG": str(first)}).port == 3


def test_flags_may_have_another_name() -> None:
    config = NodeConfig.from_sources(flags={"wallet": "w.json", "store": ["memory:"]})

    assert config.priv_key_location == "w.json"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.toml", "a = 1\nport = x", "x.toml is not TOML: .*line 2"),
        ("x.json", "{", "x.json is not JSON: .*line 1"),
        ("x.json", "[1]", "x.json should hold a JSON object"),
        ("x.flat", "port: 1\nmode", "x.flat, line 2: expected 'key: value'"),
        ("x.flat", "on: 1\non/start: x", "line 2: 'on' is a value already, not a table"),
        ("x.flat", "on/start/k: x\non/start: 1", "line 2: 'start' is a table already"),
        ("x.yaml", "port: 1", "x.yaml should end in .toml, .json or .flat"),
        ("x.toml", "prot = 1", r"prot: there is no such option \(in .*x.toml\). Did you mean port"),
        ("x.toml", "port = '80a'", r"port: '80a' \(in .*x.toml\) does not fit; expected a whole"),
    ],
)
def test_a_bad_file_is_told_with_its_place(name: str, text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        NodeConfig.from_sources([written(tmp_path, name, text)])


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff")

    with pytest.raises(ConfigError, match=r"can't read .*absent.toml: No such file"):
        NodeConfig.from_sources([tmp_path / "absent.toml"])
    with pytest.raises(ConfigError, match=r"x.toml is not UTF-8"):
        NodeConfig.from_sources([tmp_path / "x.toml"])


def test_a_variable_that_means_nothing_is_told() -> None:
    with pytest.raises(ConfigError, match=r"prot: .*\(in HB_PROT\). Did you mean port"):
        NodeConfig.from_sources(environ={"HB_PROT": "1"})


def test_a_bad_flag_is_told() -> None:
    with pytest.raises(ConfigError, match=r"port: -1 \(in the flags\) does not fit"):
        NodeConfig.from_sources(flags={"port": -1})
