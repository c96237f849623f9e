"""Options of the node itself: identity, stores, devices and guests, logs (spec/07 §2.5)."""

from __future__ import annotations

from typing import Literal

from hyperbeam_trio.config.option import (
    Kind,
    Option,
    Options,
    boolean,
    choice,
    integer,
    listing,
    optional,
    seconds,
    size,
    stores,
    table,
    table_or_text,
    text,
)

_MODES: Kind[Literal["debug", "prod"]] = choice("debug", "prod")
_IDENTITIES: Kind[Literal["rsa", "ed25519"]] = choice("rsa", "ed25519")
_ORDERS: Kind[Literal["sorted", "committed"]] = choice("sorted", "committed")
_FORMATS: Kind[Literal["text", "json"]] = choice("text", "json")
_LEVELS: Kind[Literal["debug", "info", "warning", "error"]] = choice(
    "debug", "info", "warning", "error"
)
_INITIALIZED: Kind[Literal["true", "false", "permanent"]] = choice("true", "false", "permanent")


class IdentityOptions(Options):
    """Who the node is and whom it obeys."""

    __slots__ = ()

    mode = Option(_MODES, "debug", "debug shows causes of errors and keeps the block clock at 0")
    initialized = Option(
        _INITIALIZED, "true", "false: only meta info answers; permanent: options are final"
    )
    operator = Option(
        optional(text), None, "address that may change options (own address); unclaimed: anyone"
    )
    identity = Option(_IDENTITIES, "rsa", "kind of wallet to make when the key file is missing")
    priv_key_location = Option(
        text, "hyperbeam-key.json", "key file (JWK); made when missing", aliases=("wallet", "key")
    )
    identities = Option(table, {}, "further identities: name to key file, store and other options")
    component_order = Option(
        _ORDERS, "sorted", "order of what a signature covers: by name, or as its keys are committed"
    )
    force_signed = Option(boolean, True, "sign answers that nobody signed")


class StoreOptions(Options):
    """What is kept where, and what is looked up."""

    __slots__ = ()

    store = Option(stores, ["lmdb:./data"], "stores, nearest first")
    store_defaults = Option(table, {}, "options for every store of a scheme: scheme to options")
    cache_control = Option(listing(text), [], "directives that win over those of messages")
    cache_writers = Option(listing(text), [], "addresses that may write by cache@1.0 (own)")
    store_all_signed = Option(boolean, True, "keep every request that came signed")


class DeviceOptions(Options):
    """What devices are given to work with."""

    __slots__ = ()

    default_device = Option(text, "message@1.0", "device of messages that name none")
    on = Option(table, {}, "hooks: start, request, step, response to one or several handlers")
    at_start = Option(
        listing(text), ["/~cron@1.0/resume"], "paths that the node resolves before it serves"
    )
    device_options = Option(table, {}, "options of devices that others wrote, by device name")
    wasm_time_limit = Option(seconds(0.001), 30.0, "seconds that one call into WASM may take")
    wasm_memory_limit = Option(size, "2GiB", "bytes of memory of one WASM instance")
    wasm_fuel_limit = Option(
        optional(integer(1)), None, "instructions, metered, that one call into WASM may take"
    )
    process_fuel_limit = Option(
        optional(integer(1)),
        10_000_000_000,
        "the same inside a process, where every node has to end the same call; the lesser counts",
    )
    wasm_artefacts = Option(
        optional(text), "~/.cache/hyperbeam-trio", "directory where compiled modules are kept"
    )
    lua_instruction_limit = Option(integer(1), 1_000_000_000, "instructions of one Lua call")
    lua_time_limit = Option(seconds(0.001), 30.0, "seconds that one Lua call may take")
    lua_memory_limit = Option(size, "256MiB", "bytes of memory of one Lua state")
    genesis_wasm_port = Option(integer(1, 65535), 6363, "port of a legacy compute unit here")
    genesis_wasm_import_authorities = Option(
        listing(text),
        ["WjnS-s03HWsDSdMnyTdzB1eHZB2QheUWP_FVRVYxkXk"],
        "signers whose checkpoints of legacy processes are imported",
    )
    name_resolvers = Option(listing(table_or_text), [], "resolvers of name@1.0, asked in order")
    name_reserved_host_labels = Option(listing(text), [], "host labels that are no names")
    local_names = Option(table, {}, "names of local-name@1.0 that exist from the start")
    node_processes = Option(table, {}, "definitions of processes of this node, by name")
    node_process_spawn_codec = Option(text, "httpsig@1.0", "codec that signs those definitions")


class LogOptions(Options):
    """What people are told."""

    __slots__ = ()

    log_level = Option(_LEVELS, "info", "least level of what is logged")
    log_format = Option(_FORMATS, "text", "text lines, or one JSON object a line")
    prometheus = Option(boolean, True, "count and time things, and serve the metrics")
