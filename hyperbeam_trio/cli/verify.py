"""`hyperbeam-trio verify FILE|URL|ID`: who signed what, and whether it holds."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path

import click
import trio

from hyperbeam_trio.cache.writing import STREAM_BYTES
from hyperbeam_trio.codec.ans104 import linked_message, takes_link
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import human_id, is_id
from hyperbeam_trio.crypto.item_stream import DataItemStream, file_pieces
from hyperbeam_trio.errors import BadRequest, NotFound, RemoteError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.verifiers import holds

_CODECS = {".json": "json@1.0", ".httpsig": "httpsig@1.0", ".http": "httpsig@1.0"}
_ANS104 = "ans104@1.0"


@click.command()
@click.argument("what")
@click.option("--store", multiple=True, metavar="URI", help="Where an ID is looked up.")
@click.option("--codec", help="Device of the file's encoding, if its name does not tell.")
def command(what: str, store: tuple[str, ...], codec: str | None) -> None:
    """Print each commitment of a message, its signer, and whether it holds.

    WHAT is a file (.json, .httpsig, else an ANS-104 item), a URL, or an id in a store. Ends with
    status 1 if a commitment does not hold, or if there is none.
    """
    if what.startswith(("http://", "https://")):
        message = _from_url(what)
    elif os.path.exists(what) and not os.path.isdir(what):
        try:
            message = _from_file(Path(what), codec)
        except OSError as error:
            raise BadRequest(f"{what} can't be read: {error.strerror or error}.") from error
    elif is_id(id := what.removeprefix("/")):
        message = trio.run(_from_store, id, list(store) or ["lmdb:./data"])
    else:
        raise BadRequest(f"{what!r} is no file, no URL and no id of 43 characters.")
    sys.exit(0 if _report(message) else 1)


def _report(message: Message) -> bool:
    click.echo(f"message {unsigned_id(message)}")
    if not message.commitments:
        click.echo("no commitments: nobody vouches for this message")
        return False
    outcomes = [_line(message, c) for _, c in sorted(message.commitments.items())]
    return all(outcomes)


def _line(message: Message, commitment: Commitment) -> bool:
    good = holds(message, commitment)
    signer = commitment.committer or "unsigned"
    verdict = click.style("holds", fg="green") if good else click.style("FAILS", fg="red")
    click.echo(f"{commitment.id}  {commitment.device}/{commitment.type}  {signer}  {verdict}")
    click.echo(f"    covers {', '.join(commitment.committed) or 'nothing'}")
    return good


def _from_file(path: Path, codec: str | None) -> Message:
    from hyperbeam_trio.device import DeviceTable

    if codec in (None, _ANS104) and path.suffix not in _CODECS:
        large = _from_large_item(path) if path.stat().st_size > STREAM_BYTES else None
        if large is not None:
            return large
    devices = DeviceTable(NodeConfig().default_device)
    found = devices.get(codec or _CODECS.get(path.suffix, _ANS104)).codec
    if found is None:
        raise BadRequest(f"{codec} is no encoding.")
    return found.from_bytes(path.read_bytes())


def _from_large_item(path: Path) -> Message | None:
    """The message of an item, hashes in the place of its data; `None` if it is a bundle."""
    stream, whole = DataItemStream(), sha256()
    with path.open("rb") as file:
        for piece in file_pieces(file):
            data = stream.begin(piece)
            if stream.header is not None and not takes_link(stream.header):
                return None
            stream.add(data)
            whole.update(data)
    if stream.header is None:
        raise BadRequest(f"{path} ends within the header of an item.")
    link = Link(human_id(whole.digest()), "binary", stream.data_size)
    message = linked_message(stream.header, link)
    stand_in = Elsewhere(whole.digest(), stream.data_hash)
    replaced = {key: stand_in if value == link else value for key, value in message.items()}
    return Message.of(replaced).with_commitments(message.commitments.values())


def _from_url(url: str) -> Message:
    import httpx

    from hyperbeam_trio.codec.httpsig import HTTPSIG

    try:
        answer = httpx.get(url, timeout=60)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RemoteError(f"{url} did not answer: {error}") from None
    pairs = [(name.decode().lower(), value) for name, value in answer.headers.raw]
    return HTTPSIG.decode(pairs, answer.content or None)


async def _from_store(id: str, stores: list[str]) -> Message:
    from hyperbeam_trio.cache import Cache
    from hyperbeam_trio.cache.streaming import load_verifiable
    from hyperbeam_trio.cli.store_view import opened_specs

    async with opened_specs(NodeConfig(store=stores).stores()) as opened:
        cache = Cache(opened)
        found = await cache.read(id, commitments="all")
        if not isinstance(found, Message):
            raise NotFound(f"No message of id {id} is stored in {', '.join(stores)}.")
        return await load_verifiable(found, cache)
