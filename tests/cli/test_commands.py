"""The command line: what it prints, and how it says that something is wrong."""

from __future__ import annotations

import socket
import stat

import pytest

from hyperbeam_trio import __version__
from hyperbeam_trio.cli import main
from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.crypto.key_file import generate_wallet, load_wallet, save_wallet
from hyperbeam_trio.message import Message


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("HB_PORT", "HB_CONFIG", "HB_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(capfd):
    """Run a command; its exit status, what it printed, and what it complained about."""

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        code = ended.value.code
        out, err = capfd.readouterr()
        return (0 if code is None else int(code)), out, err

    return command


def test_version(run):
    assert run("--version") == (0, f"hyperbeam-trio, version {__version__}\n", "")


def test_help_lists_every_command(run):
    _, out, _ = run("--help")
    for name in ("start", "get", "put", "spawn", "send", "devices", "options", "wallet", "verify"):
        assert f"  {name}" in out


def test_devices_are_listed_with_what_they_are_for(run):
    _, out, _ = run("devices")
    (line,) = [line for line in out.splitlines() if line.startswith("wasm-64@1.0")]
    assert "WebAssembly" in line


def test_options_are_listed_with_their_defaults(run):
    _, out, _ = run("options")
    assert "  port = 8734  (" in out
    assert "HB_PORT" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["start", "--store", "lmdb:/proc/x"], "store lmdb /proc/x: the directory can't be used"),
        (["start", "--store", "nosuch:x"], "no store of scheme 'nosuch' is installed; known are"),
        (["start", "--store", "data"], "each item a URI such as lmdb:./data"),
        (["start", "--config", "missing.toml"], "can't read missing.toml"),
        (["start", "--option", "prot=1"], "prot: there is no such option"),
        (["start", "--option", "port=abc"], "expected a whole number from 0 to 65535"),
        (["get", "/x", "--node", "http://127.0.0.1:1"], "did not answer"),
        (
            ["get", "/~message@1.0&a=1/b", "--store", "memory:"],
            "memory: has nothing at /~message@1.0&a=1/b: not_found",
        ),
        (["get", "/~message@1.0&n+integer=x/n", "--store", "memory:"], "at offset 14 of the path"),
        (["get", "/~nosuch@1.0/x", "--store", "memory:"], "not installed"),
        (["verify", "nothing"], "no file, no URL and no id"),
        (["verify", "."], "no file, no URL and no id"),
        (["verify", "long" * 100], "no file, no URL and no id"),
        (["verify", "A" * 43, "--store", "lmdb:absent"], "there is no store to read"),
        (["store", "ls", "memory:", "odd\udcff"], "is no UTF-8"),
        (["verify", "A" * 43, "--store", "memory:"], "No message of id"),
        (["wallet", "show", "missing.json"], "missing.json"),
        (["send", "no-id"], "is no id of a process"),
        (["send", "-" + "h" * 42, "x=1", "--wallet", "missing.json"], "missing.json"),
        (["verify", "-" + "h" * 42, "--store", "memory:"], f"No message of id -{'h' * 42}"),
        (["send", "A" * 43, "amount"], "'amount' has no value; expected KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(run, arguments, complaint):
    code, _, err = run(*arguments)
    assert code == 1
    assert complaint in err
    assert "Traceback" not in err


def test_looking_for_a_message_makes_no_store(run, folder):
    assert run("verify", "A" * 43)[0] == 1
    assert list(folder.iterdir()) == []


def test_a_port_in_use_is_named(run):
    save_wallet(generate_wallet("ed25519"), "hyperbeam-key.json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run("start", "--store", "memory:", "--port", str(port))
    assert (code, f"can't listen on 127.0.0.1 port {port}" in err) == (1, True)


def test_a_wrong_key_file_is_named_and_never_shown(run, folder):
    (folder / "bad.json").write_text('{"kty": "RSA", "n": "AQAB", "d": "c2VjcmV0"}')
    code, out, err = run("start", "--store", "memory:", "--wallet", "bad.json")
    assert code == 1
    assert "bad.json" in err
    assert "c2VjcmV0" not in out + err


def test_get_computes_on_a_store_and_prints_plainly(run):
    assert run("get", "/~message@1.0&a=1/a", "--store", "memory:")[1] == "1"
    assert run("get", "~message@1.0&x+float=10.0/x", "--store", "memory:")[1] == "10\n"
    _, out, _ = run("get", "/~message@1.0&a=1/keys", "--store", "memory:")
    assert out.splitlines() == ["1: a", "2: device"]


def test_get_prints_json(run):
    _, out, _ = run("get", "/~message@1.0&n+integer=5", "--store", "memory:", "--json")
    assert JSON.from_bytes(out.encode())["n"] == 5


def test_put_into_a_store_names_what_it_wrote(run, folder):
    (folder / "text.txt").write_text("hello")
    _, out, _ = run("put", "text.txt", "--store", "lmdb:./data", "--content-type", "text/plain")
    id = out.strip()
    assert run("get", f"/{id}/body", "--store", "lmdb:./data")[1] == "hello"


def test_put_says_what_is_wrong_with_a_module(run, folder):
    (folder / "bad.wat").write_text("(module (func")
    code, _, err = run("put", "bad.wat", "--store", "memory:")
    assert (code, "bad.wat can't be assembled" in err) == (1, True)


def test_a_new_wallet_is_private_and_is_not_overwritten(run, folder):
    _, out, _ = run("wallet", "new", "k.json", "--kind", "ed25519")
    assert load_wallet("k.json").address == out.strip()
    assert stat.S_IMODE((folder / "k.json").stat().st_mode) == 0o600
    assert run("wallet", "address", "k.json")[1] == out
    assert run("wallet", "new", "k.json", "--kind", "ed25519")[0] == 1
    assert load_wallet("k.json").address == out.strip()


def test_verify_says_which_commitments_hold(run, folder):
    message = commit_unsigned(Message(a="1", b=2))
    good = JSON.to_bytes(message, bundle=True)
    (folder / "good.json").write_bytes(good)
    code, out, _ = run("verify", "good.json")
    assert (code, "holds" in out, "covers a, ao-types, b" in out) == (0, True, True)
    (folder / "bad.json").write_bytes(good.replace(b'"a":"1"', b'"a":"2"'))
    code, out, _ = run("verify", "bad.json")
    assert (code, "FAILS" in out) == (1, True)
    (folder / "none.json").write_text('{"a": "1"}')
    assert run("verify", "none.json")[0] == 1
