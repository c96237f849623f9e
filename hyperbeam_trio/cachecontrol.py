"""Cache directives and how several sources of them combine (spec/03 §9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hyperbeam_trio.message import Message, Value, as_text


@dataclass(frozen=True, slots=True)
class Directives:
    """What one source says; `None` where it is silent."""

    store: bool | None = None
    lookup: bool | None = None
    only_if_cached: bool = False


SILENT = Directives()


@lru_cache(maxsize=256)
def parse_directives(text: str) -> Directives:
    """Directives of a comma-separated text; unknown ones are ignored."""
    words = {word.strip().lower() for word in text.split(",")}
    only = "only-if-cached" in words
    if "always" in words:
        return Directives(store=True, lookup=True, only_if_cached=only)
    return Directives(_decide(words, "store"), _decide(words, "cache"), only)


def _decide(words: set[str], name: str) -> bool | None:
    if f"no-{name}" in words:
        return False
    return True if name in words else None


def directives_of(value: Value) -> Directives:
    """Directives of a `cache-control` value: text, or a list of texts."""
    if value is None:
        return SILENT
    if isinstance(value, list):
        return parse_directives(",".join(as_text(item) or "" for item in value))
    return parse_directives(as_text(value) or "")


def lookup_directives(request: Message, base: Message, option: Directives) -> Directives:
    """Whether to look up: yes by default < request < base < option; and only-if-cached of any."""
    asked = directives_of(request.get("cache-control"))
    held = directives_of(base.get("cache-control"))
    if asked is held is SILENT and option.lookup is not None:
        return option
    lookup = True
    for source in (asked, held, option):
        lookup = lookup if source.lookup is None else source.lookup
    only = asked.only_if_cached or held.only_if_cached or option.only_if_cached
    return Directives(lookup=lookup, only_if_cached=only)


def may_store(request: Message, result: Value, option: Directives) -> bool:
    """Whether to store: no by default < request < result < option."""
    store = directives_of(request.get("cache-control")).store or False
    if isinstance(result, Message):
        said = directives_of(result.get("cache-control")).store
        store = store if said is None else said
    return store if option.store is None else option.store
