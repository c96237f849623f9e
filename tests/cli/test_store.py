"""The tools for stores, over real stores with real damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
import trio
from click.testing import CliRunner, Result

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.bundled import mapped_bundle
from hyperbeam_trio.cli import cli, main
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.crypto.key_file import load_wallet, save_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_store
from hyperbeam_trio.stores.directory_lock import Users
from tests.support.older_store import WRITERS, Layout, To, add_message

LARGE = b"x" * 5000


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["store", *arguments])


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command that ends with status 1 complains about."""

    def command(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["store", *arguments])
        assert ended.value.code == 1
        return capsys.readouterr().err

    return command


async def _fill(uri: str) -> str:
    store = await open_store(uri)
    id = await Cache(store).write(Message(child={"body": LARGE}, n=1), names=["a name"])
    await Cache(store).write(Message(garbage=1))
    await store.close()
    return id


@pytest.fixture(params=["lmdb", "fs"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store with a named message, its nested one, a binary, and garbage: five keys."""
    uri = f"{request.param}:{tmp_path}/store"
    trio.run(_fill, uri)
    return uri


def damage(uri: str, mark: bytes) -> None:
    """Flip one bit of the value that contains `mark`, behind the store's back."""
    scheme, _, place = uri.partition(":")
    if scheme == "lmdb":
        with lmdb.open(place) as environment, environment.begin(write=True) as txn:
            (key, value) = next(item for item in txn.cursor() if mark in item[1])
            txn.put(key, _flipped(value, mark))
    else:
        file = next(f for f in Path(place).rglob("*") if f.is_file() and mark in f.read_bytes())
        file.write_bytes(_flipped(file.read_bytes(), mark))


def _flipped(value: bytes, mark: bytes) -> bytes:
    at = value.index(mark)
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def key_of(uri: str, namespace: str) -> str:
    (key,) = run("ls", uri, namespace).stdout.splitlines()
    return key


def test_stat_counts_each_sort(uri):
    counts = dict(line.split()[:2] for line in run("stat", uri).stdout.splitlines()[1:])
    assert {sort: count for sort, count in counts.items() if count != "0"} == {
        "data/": "1",
        "message/": "3",
        "name/": "1",
    }


def test_ls_lists_names_with_ids_and_any_keys(uri):
    id, name = run("ls", uri).stdout.strip().split("  ")
    assert name == "a name"
    messages = run("ls", uri, "message/").stdout.splitlines()
    assert f"message/{id}" in messages
    assert run("ls", uri, "message/", "--limit", "1").stdout.splitlines() == messages[:1]
    assert run("ls", uri, "message/", "--after", messages[0]).stdout.splitlines() == messages[1:]


def test_verify_says_that_all_is_well(uri):
    done = run("verify", uri)
    assert done.exit_code == 0
    assert "Verified 5 keys" in done.stdout
    assert "intact" in done.stdout


def test_verify_finds_damage_and_who_points_at_it(uri):
    blob = key_of(uri, "data/")
    damage(uri, LARGE)
    done = run("verify", uri)
    assert done.exit_code == 1
    found, reference, _ = done.stdout.splitlines()
    assert found.startswith(f"damaged  {blob}  ")
    assert reference.startswith(f"referred to  {blob}  by message/")


def test_verify_goes_on_from_a_cursor(uri):
    blob = key_of(uri, "data/")
    damage(uri, LARGE)
    assert "damaged  " not in run("verify", uri, "--after", blob).stdout


def test_verify_tells_missing_from_damaged(uri):
    async def lose(key: str) -> None:
        store = await open_store(uri)
        await store.delete([key])
        await store.close()

    blob = key_of(uri, "data/")
    trio.run(lose, blob)
    assert f"missing  {blob}" in run("verify", uri).stdout
    assert run("verify", uri).exit_code == 1
    assert run("verify", uri, "--allow-missing").exit_code == 0


def test_a_copy_is_equal_and_a_change_shows(uri, tmp_path):
    other = f"lmdb:{tmp_path}/other"
    assert run("copy", uri, other).exit_code == 0
    equal = run("diff", uri, other)
    assert equal.exit_code == 0
    assert "equal" in equal.stdout
    run("gc", other, "--delete")
    different = run("diff", uri, other)
    assert different.exit_code == 1
    assert f"only in {uri}  message/" in different.stdout


def test_damage_is_not_copied(uri, tmp_path):
    blob = key_of(uri, "data/")
    damage(uri, LARGE)
    done = run("copy", uri, f"fs:{tmp_path}/other")
    assert done.exit_code == 1
    assert f"damaged  {blob}" in done.stdout
    assert run("stat", f"fs:{tmp_path}/other").exit_code == 0
    assert run("ls", f"fs:{tmp_path}/other", "data/").stdout == ""


def test_repair_takes_what_is_sound_elsewhere(uri, tmp_path):
    other = f"lmdb:{tmp_path}/other"
    run("copy", uri, other)
    damage(uri, LARGE)
    done = run("repair", uri, "--from", other)
    assert done.exit_code == 0
    assert "1 replaced" in done.stdout
    assert run("verify", uri).exit_code == 0
    assert run("diff", uri, other).exit_code == 0


def test_repair_says_what_is_lost(uri, tmp_path):
    trio.run(_fill, f"lmdb:{tmp_path}/other")
    damage(uri, LARGE)
    damage(f"lmdb:{tmp_path}/other", LARGE)
    assert "1 lost" in run("repair", uri, "--from", f"lmdb:{tmp_path}/other").stdout
    dropped = run("repair", uri, "--from", f"lmdb:{tmp_path}/other", "--drop")
    assert dropped.exit_code == 1
    assert "dropped" in dropped.stdout
    assert run("ls", uri, "data/").stdout == ""


def test_gc_shows_first_and_deletes_when_told(uri):
    shown = run("gc", uri)
    (garbage,) = shown.stdout.splitlines()
    assert "1 keys" in shown.stderr
    assert garbage in run("ls", uri, "message/").stdout
    kept = run("gc", uri, "--root", garbage.removeprefix("message/"))
    assert kept.stdout == ""
    assert run("gc", uri, "--delete").stdout.splitlines() == [garbage]
    assert garbage not in run("ls", uri, "message/").stdout
    assert run("verify", uri).exit_code == 0


def test_export_and_import_bring_everything_back(uri, tmp_path):
    file, other = str(tmp_path / "store.jsonl"), f"lmdb:{tmp_path}/other"
    assert run("export", uri, file).exit_code == 0
    assert run("import", file, other).exit_code == 0
    assert run("diff", uri, other).exit_code == 0


def test_an_export_goes_on_in_the_file_that_was_cut(uri, tmp_path):
    file = tmp_path / "store.jsonl"
    run("export", uri, str(file))
    whole = file.read_bytes()
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]) + b'{"key": "me')
    run("export", uri, str(file), "--after", key_of(uri, "data/"))
    assert file.read_bytes() == whole


def test_an_export_replaces_no_file(uri, tmp_path, refused):
    file = tmp_path / "store.jsonl"
    file.write_text("precious")
    assert "exists" in refused("export", uri, str(file))
    assert file.read_text() == "precious"


def test_an_export_says_that_its_file_can_t_be_written(uri, tmp_path, refused):
    for file, after in ((tmp_path / "absent" / "file", ()), (tmp_path / "file", ("--after", "x"))):
        told = refused("export", uri, str(file), *after)
        assert f"{file} can't be written: No such file or directory." in told


def test_a_store_that_is_not_there_is_not_made(tmp_path, refused):
    for scheme in ("lmdb", "fs"):
        assert "absent" in refused("verify", f"{scheme}:{tmp_path}/absent")
        assert not (tmp_path / "absent").exists()


def test_a_walk_that_stops_says_where_to_go_on(uri, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hyperbeam_trio.cache.copying.BATCH_BYTES", 1)
    blob = key_of(uri, "data/")

    async def put(self: object, items: dict[str, bytes]) -> None:
        if any(key.startswith("message/") for key in items):
            raise KeyboardInterrupt

    monkeypatch.setattr("hyperbeam_trio.stores.memory.MemoryStore.put", put)
    with pytest.raises(SystemExit):
        main(["store", "copy", uri, "memory:"])
    assert f"--after {blob}" in capsys.readouterr().err


def test_an_export_in_bundles_comes_back_whole_and_bundle_by_bundle(uri, tmp_path):
    archive = tmp_path / "archive"
    assert run("export", uri, str(archive), "--format", "ans104").exit_code == 0
    (bundle,) = archive.glob("*.bundle")
    for source, name in ((archive, "all"), (bundle, "one")):
        assert run("import", str(source), f"lmdb:{tmp_path}/{name}").exit_code == 0
        assert run("diff", uri, f"lmdb:{tmp_path}/{name}").exit_code == 0


def test_an_export_in_bundles_is_signed_by_the_wallet_that_is_named(uri, tmp_path):
    wallet = tmp_path / "wallet.json"
    save_wallet(Ed25519Wallet(bytes([4]) * 32), wallet)
    archive = tmp_path / "archive"
    run("export", uri, str(archive), "--format", "ans104", "--wallet", str(wallet))
    (path,) = archive.glob("*.bundle")
    assert {item.address for item in mapped_bundle(path)} == {load_wallet(wallet).address}
    assert not (archive / "key.json").exists()


@pytest.mark.parametrize("kind", ["fs", "lmdb"])
def test_a_store_of_hyperbeam_is_taken_over(kind, tmp_path):
    message = Message(x="1")
    layout: Layout = {"assignments/p/0": To("a" * 43)}
    add_message(layout, fresh_id(message), {"x": b"1", "result": b"2"})
    source = WRITERS[kind](tmp_path / "older", layout)
    told = run("import", str(source), f"lmdb:{tmp_path}/new")
    assert told.exit_code == 1
    left_out, missing, summary = told.stdout.splitlines()
    assert left_out.startswith(f"left out  message/{fresh_id(message)}/result  ")
    assert missing.startswith("missing  name/assignments/p/0  ")
    assert summary.endswith("1 damaged were left out.")
    assert fresh_id(message) in run("ls", f"lmdb:{tmp_path}/new", "message/").stdout


def test_gc_deletes_nothing_while_a_node_has_the_store(uri, tmp_path, refused):
    node = Users(tmp_path / "store", "the node's")
    keys = run("ls", uri, "message/").stdout
    assert "stop it first" in refused("gc", uri, "--delete")
    assert run("gc", uri).exit_code == 0
    assert run("ls", uri, "message/").stdout == keys
    node.close()
    assert run("gc", uri, "--delete").exit_code == 0


def test_gc_in_a_store_that_can_t_tell_takes_our_word(uri, tmp_path, refused):
    archive = f"bundle:{tmp_path}/archive"
    run("copy", uri, archive)
    assert "--alone" in refused("gc", archive, "--delete")
    assert run("gc", archive, "--delete", "--alone").exit_code == 0


def test_gc_deletes_nothing_when_it_is_to_keep_what_is_not_there(uri, refused):
    keys = run("ls", uri, "message/").stdout
    typo = "A" * 43
    assert f"--root {typo}" in refused("gc", uri, "--delete", "--root", typo)
    assert run("ls", uri, "message/").stdout == keys


def test_a_store_is_not_copied_into_itself(uri, refused):
    assert "can't be copied into itself" in refused("copy", uri, uri)


def test_bundles_are_imported_whole(uri, tmp_path, refused):
    archive = str(tmp_path / "archive")
    run("export", uri, archive, "--format", "ans104")
    assert "without --messages-only" in refused("import", archive, uri, "--messages-only")


def test_names_that_can_t_be_printed_are_listed_all_the_same(tmp_path):
    layout: Layout = {"odd/\udcff": To("nowhere")}
    add_message(layout, fresh_id(Message(x="1")), {"x": b"1"})
    layout["named/\udcfe"] = To(fresh_id(Message(x="1")))
    source = WRITERS["fs"](tmp_path / "older", layout)
    store = f"lmdb:{tmp_path}/new"
    told = run("import", str(source), store)
    assert told.exit_code == 0
    assert told.stdout.startswith("left out  name/odd/\\udcff  ")
    assert run("ls", store).stdout.endswith("named/\\udcfe\n")


def test_whoever_has_seen_enough_of_a_list_hears_no_more(uri):
    command = [sys.executable, "-m", "hyperbeam_trio", "store", "ls", uri, ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
