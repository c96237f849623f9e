"""Options of the HTTP server, the HTTP client and the network (spec/07 §2.5 to §2.7)."""

from __future__ import annotations

from typing import Literal

from hyperbeam_trio.config.option import (
    Kind,
    Option,
    Options,
    boolean,
    choice,
    index,
    integer,
    listing,
    optional,
    seconds,
    size,
    table,
    text,
    text_of,
)

_DOORS: Kind[Literal["trio", "hypercorn"]] = choice("trio", "hypercorn")
_RETRY_MODES: Kind[Literal["backoff", "constant"]] = choice("backoff", "constant")
_GRAPHQL = ("https://ao-search-gateway.goldsky.com", "https://arweave-search.goldsky.com")
_ARWEAVE = "https://arweave.net"


def _reachable(raw: object) -> str:
    from hyperbeam_trio.http.addresses import AddressPolicy

    entry = text_of(raw).strip().lower()
    AddressPolicy([entry])
    return entry


_REACHABLE: Kind[str] = Kind("host", "a host, an address, a network, or all", _reachable)


class ServerOptions(Options):
    """The front door."""

    __slots__ = ()

    host = Option(text, "127.0.0.1", "address to listen on")
    port = Option(integer(0, 65535), 8734, "port to listen on; 0 takes any free one")
    port_external = Option(optional(integer(1, 65535)), None, "port that peers are told (port)")
    node_host = Option(optional(text), None, "public host name, with names as its sub-domains")
    http_server = Option(_DOORS, "trio", "who serves: our own listener, or hypercorn alone")
    processes = Option(integer(1, 256), 1, "processes that share the socket and the store")
    tls = Option(table, {}, "HTTPS: cert and key, files in PEM form")
    trusted_proxies = Option(listing(text), [], "addresses whose x-real-ip header is believed")
    default_codec = Option(text, "httpsig@1.0", "codec where neither side names one")
    default_request = Option(text, "/~hyperbuddy@1.0/dashboard", "where the empty path leads")
    generate_index = Option(boolean, True, "a page for answers that have no body")
    default_index = Option(
        index, "ui", "who makes it: ui, text, DEVICE, DEVICE/KEY, or a table of these"
    )
    default_index_path = Option(text, "index", "key of that page")
    http_extra_opts = Option(
        table,
        {"force-message": True, "cache-control": ["always"]},
        "options of every request that comes by HTTP",
    )
    http_inbound_filter_keys = Option(
        listing(text), ["content-length"], "headers that are dropped unless they are signed"
    )
    error_details_max_size = Option(size, 32768, "characters of details in an error's answer")
    answer_cache_bytes = Option(size, "64MiB", "bytes of encoded, signed answers that are kept")


class LimitOptions(Options):
    """What the front door lets in, and for how long."""

    __slots__ = ()

    max_body = Option(size, "64MiB", "bytes of a request's body; more is 413")
    max_item = Option(
        size, "4GiB", "bytes of an uploaded ANS-104 item, which is stored as it comes"
    )
    upload_quota = Option(
        size,
        "64GiB",
        "bytes of items over 1 MiB that a process takes in an hour from others than the operator "
        "and cache-writers; more is 429; 0: no limit",
    )
    join_bytes = Option(
        size, "256MiB", "bytes of a stored binary that is put together in memory; more is streamed"
    )
    max_connections = Option(integer(1), 16384, "connections open at once")
    idle_timeout = Option(integer(1), 300_000, "ms after which an idle connection is closed")
    http_head_bytes = Option(size, "1MiB", "bytes of a request's head; more is 431")
    http_header_count = Option(integer(1), 1000, "headers of a request; more is 431")
    http_connections_per_address = Option(integer(1), 12288, "connections from one address")
    http_requests = Option(integer(1), 1024, "requests in flight; beyond them 503")
    http_retry_after = Option(integer(1), 1, "seconds after which a client may come back")
    http_head_seconds = Option(seconds(0.001), 30.0, "seconds for a request's head to arrive")
    http_body_seconds = Option(seconds(0.001), 30.0, "seconds for a body to arrive")
    http_body_rate = Option(size, 1024, "bytes of a body for which it may take a second more")
    http_write_seconds = Option(seconds(0.001), 30.0, "seconds for a client to take 64 KiB")
    http_handshake_seconds = Option(seconds(0.001), 20.0, "seconds for TLS to be agreed")
    http_grace_seconds = Option(seconds(), 10.0, "seconds for requests in flight at the stop")


class ClientOptions(Options):
    """Requests to others."""

    __slots__ = ()

    http_client_connect_timeout = Option(integer(1), 5000, "ms for a connection")
    http_client_send_timeout = Option(integer(1), 300_000, "ms for a whole answer")
    http_client_keepalive = Option(integer(0), 120_000, "ms that an idle connection is kept")
    http_client_connections = Option(integer(1), 256, "connections open at once")
    http_client_max_body = Option(size, "64MiB", "bytes of an answer's body")
    http_retry = Option(integer(0, 100), 0, "how often a failed request is sent again")
    http_retry_time = Option(integer(1), 1000, "ms before the first of these")
    http_retry_mode = Option(_RETRY_MODES, "backoff", "whether that time doubles")
    http_retry_response = Option(
        listing(integer(400, 599)), [], "statuses that are worth another try"
    )
    http_only_result = Option(boolean, True, "take the key that ao-result names for the result")
    relay_allow_commit_request = Option(boolean, False, "let relay@1.0 sign what it passes on")
    http_allow_private = Option(
        listing(_REACHABLE), [], "hosts and networks that are not public, yet may be asked; or all"
    )


class NetworkOptions(Options):
    """Who else there is."""

    __slots__ = ()

    gateway = Option(text, _ARWEAVE, "Arweave gateway; mode prod asks it for blocks, locations")
    bundler_ans104 = Option(optional(text), None, "where ANS-104 items of schedules are uploaded")
    bundler_httpsig = Option(optional(text), None, "where httpsig messages of them are uploaded")
    ans104_trust_gql = Option(boolean, False, "take items of gateways that do not verify")
    routes = Option(
        listing(table),
        [
            {
                "template": "/graphql",
                "nodes": [{"prefix": url} for url in (*_GRAPHQL, _ARWEAVE)],
                "strategy": "All",
            },
            {
                "template": "^/arweave",
                "node": {"match": "^/arweave", "with": _ARWEAVE},
            },
            {"template": "^/raw", "node": {"prefix": _ARWEAVE}},
        ],
        "where outgoing requests go; the first that matches, else a compute unit here",
    )
    router_opts = Option(table, {}, "provider, registrar and offered routes of router@1.0")
    route_owners = Option(listing(text), [], "addresses that may add routes (operator)")
    host_bootstrap_node = Option(optional(text), None, "node that tells us our own address")
