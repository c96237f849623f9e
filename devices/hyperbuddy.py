"""`hyperbuddy@1.0`: pages for people: the node's front page, and any message as a table."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hyperbeam_trio import __version__
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.exposition import (
    CONTENT_TYPE,
    events,
    exposition,
    exposition_of_all,
)
from hyperbeam_trio.message import Link, Message, Value, as_text, describe, public_keys

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 60rem; padding: 0 1rem }
h1 { font-size: 1.4rem } code, td, pre { font-family: ui-monospace, monospace; font-size: .9rem }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #ddd; padding: .4rem .8rem .4rem 0; vertical-align: top }
td:first-child { white-space: nowrap; color: #555 } td:last-child { word-break: break-all }
"""

_SHOWN = 2000
MAX_DEPTH = 8


class HyperbuddyDevice(Device):
    """`dashboard` shows the node, `index` a message as a page, `format` a message as text.

    `metrics` and `events` tell what the node has counted since it began (spec/07 §14).
    """

    name = "hyperbuddy@1.0"
    excludes = frozenset({"keys", "set", "remove", "id"})

    @key(volatile=True)
    async def dashboard(self, base: Message, request: Message, context: Context) -> Value:
        """The node's front page: who it is, where it keeps things, which devices it has."""
        node = context.node
        facts = Message(
            {
                "address": node.address,
                "operator": node.operator,
                "version": f"hyperbeam-trio {__version__}",
                "store": node.store.describe(),
                "mode": node.config.mode,
            }
        )
        devices = "".join(
            f'<li><a href="/~{escape(name)}/info">{escape(name)}</a></li>'
            for name in node.devices.names()
        )
        body = f"{_table(facts)}<h2>Devices</h2><ul>{devices}</ul>"
        return _page("hyperbeam-trio", body)

    @key
    async def index(self, base: Message, request: Message, context: Context) -> Value:
        """The base as a page: its keys and values, with links to nested messages."""
        shown = base.without("device") if base.get("device") == self.name.encode() else base
        loaded = await context.cache.load_binaries(shown)
        signers = ", ".join(loaded.signers) or "nobody"
        heading = f"<p>Message <code>{unsigned_id(loaded)}</code>, signed by {escape(signers)}.</p>"
        return _page("A message", heading + _table(loaded))

    @key
    async def format(self, base: Message, request: Message, context: Context) -> Value:
        """The base as indented text, every link in it loaded."""
        loaded = await context.load_all(base.without("device"))
        text = "\n".join(_lines(loaded, 0))
        return Message({"content-type": "text/plain; charset=utf-8", "body": text})

    @key(volatile=True)
    async def metrics(self, base: Message, request: Message, context: Context) -> Value:
        """The node's numbers, for Prometheus; `prometheus: false` turns them off.

        Of a node of several processes those of all, by the label `worker`; with `alone` those of
        the one that answers.
        """
        if not context.config.prometheus:
            text, kind = "Prometheus metrics disabled.", "text/plain"
        else:
            alone = request.bool("alone", False)
            shown = exposition(context.node) if alone else await exposition_of_all(context.node)
            text, kind = shown, CONTENT_TYPE
        return Message({"content-type": kind, "body": text})

    @key(volatile=True)
    async def events(self, base: Message, request: Message, context: Context) -> Value:
        """Counters as a message: topics, and in them how often what happened."""
        return Message(events(context.node))


def _page(title: str, body: str) -> Message:
    html = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
    return Message({"content-type": "text/html; charset=utf-8", "body": html})


def _table(message: Message) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{_cell(message[name])}" for name in public_keys(message)
    )
    return f"<table>{rows}</table>"


def _cell(value: Value) -> str:
    if isinstance(value, Link | Message | list):
        id = value.id if isinstance(value, Link) else unsigned_id(value)
        about = "" if isinstance(value, Link) else f" ({escape(describe(value))})"
        return f'<a href="/{id}">{id}</a>{about}'
    text = as_text(value)
    shown = describe(value) if text is None else text
    return escape(shown[:_SHOWN]) + ("…" if len(shown) > _SHOWN else "")


def _lines(value: Value, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(value, Message) and depth < MAX_DEPTH:
        for name in public_keys(value):
            yield from _entry(name, value[name], indent, depth)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        for number, item in enumerate(value, 1):
            yield from _entry(str(number), item, indent, depth)
    else:
        yield indent + describe(value)


def _entry(name: str, value: Value, indent: str, depth: int) -> Iterator[str]:
    if isinstance(value, Message | list):
        yield f"{indent}{name}:"
        yield from _lines(value, depth + 1)
    else:
        text = as_text(value)
        yield f"{indent}{name}: {describe(value) if text is None else text[:_SHOWN]}"
