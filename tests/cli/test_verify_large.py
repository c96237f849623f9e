"""`hyperbeam-trio verify` of items that are too large to be held."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.writing import STREAM_BYTES
from hyperbeam_trio.cli import main
from hyperbeam_trio.codec.ans104 import linked_message
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.store import open_store

ITEM = DataItem.create(bytes(STREAM_BYTES + 5), [(b"Name", b"large")]).sign(
    Ed25519Wallet(bytes(range(32)))
)


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["verify", *arguments])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "item"
    path.write_bytes(ITEM.to_bytes())
    code, out = verified(capsys, str(path))
    assert (code, "holds" in out, ITEM.id in out) == (0, True, True)
    raw = bytearray(ITEM.to_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    code, out = verified(capsys, str(path))
    assert (code, "FAILS" in out) == (1, True)


def test_an_id_in_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def store() -> None:
        opened = await open_store(f"lmdb:{tmp_path}")
        cache = Cache(opened)
        await cache.write(linked_message(ITEM, await cache.write_pieces(pieces())))
        await opened.close()

    async def pieces() -> AsyncIterator[memoryview]:
        yield ITEM.data

    trio.run(store)
    code, out = verified(capsys, ITEM.id, "--store", f"lmdb:{tmp_path}")
    assert (code, "holds" in out, ITEM.id in out) == (0, True, True)
