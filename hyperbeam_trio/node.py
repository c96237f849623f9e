"""A node: its store, identity, devices, and the tasks that serve them (spec/07 §1).

    async with open_node(NodeConfig(store=["memory:"])) as node:
        await node.resolve("/~message@1.0&greeting=hello/greeting")

Services start in order, each in a nursery layer of its own and ready before the next begins, and
stop in reverse: signers, names, timestamps, schedulers, workers, HTTP.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any

import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cachecontrol import directives_of
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.key_file import load_or_create
from hyperbeam_trio.crypto.signers import Signers
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.device import Device, DeviceTable
from hyperbeam_trio.errors import BadRequest, single_cause
from hyperbeam_trio.hooks import Hooks
from hyperbeam_trio.http.client import ClientSettings, HttpClient
from hyperbeam_trio.http.quota import Quota
from hyperbeam_trio.message import Link, Message, Value, to_value
from hyperbeam_trio.metrics import Metrics
from hyperbeam_trio.path import parse, parse_request
from hyperbeam_trio.resolver import Resolver
from hyperbeam_trio.service.names import NameService
from hyperbeam_trio.service.registry import Service, TaskRegistry
from hyperbeam_trio.service.siblings import Siblings
from hyperbeam_trio.service.timestamp import TimestampService
from hyperbeam_trio.store import Store, open_stores

log = logging.getLogger("hyperbeam_trio.node")

HISTORY_LIMIT = 1000
"""How many changes of the configuration are remembered."""


class Node:
    """What devices and the HTTP face stand on; made by `open_node`.

    `config`, `store`, `cache`, `wallet`, `devices`, `resolver`, `hooks`, `names`, `timestamps`;
    `schedulers`, one task a process; `services`, what devices keep running; `workers`, the nursery
    of shared computations; `http_client`, which asks other servers; `crypto_limiter`, for what
    holds a core in a thread; `history`, requests that changed the configuration; `urls`, where it
    is served; `metrics`, what it counts; `siblings`, the node's other processes, if there are any;
    `leads`, whether this process does what only one of them may do; `begun`, whether that is done
    which comes before it serves, and `begun_with`, the options that this changed.
    """

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        wallet: Wallet,
        names: NameService,
        timestamps: TimestampService,
        schedulers: TaskRegistry,
        workers: trio.Nursery,
        http_client: HttpClient,
        devices: Mapping[str, type[Device]] | None = None,
    ) -> None:
        self.store = store
        self.cache = Cache(store, join_bytes=config.join_bytes, alone=config.processes == 1)
        self.wallet = wallet
        self.names = names
        self.timestamps = timestamps
        self.schedulers = schedulers
        self.services = TaskRegistry(workers, "service")
        self.workers = workers
        self.http_client = http_client
        self.history: deque[Message] = deque(maxlen=HISTORY_LIMIT)
        self.crypto_limiter = trio.CapacityLimiter(os.cpu_count() or 1)
        self.urls: Sequence[str] = ()
        self.siblings: Siblings | None = None
        self.begun = trio.Event()
        self.begun_with: Mapping[str, object] = {}
        self.metrics = Metrics()
        self.uploads = Quota()
        self._configure(config)
        self.devices = DeviceTable(config.default_device, devices)
        self.resolver = Resolver(self)

    def _configure(self, config: NodeConfig) -> None:
        self.config = config
        self.hooks = Hooks(config.on)
        self.cache_control = directives_of(to_value(config.cache_control))
        extra = config.http_extra_opts.get("cache-control")
        self.http_cache_control = directives_of(to_value(extra))
        self.http_client.configure(ClientSettings.of(config))

    def reconfigure(self, changes: Mapping[str, object]) -> None:
        """Change options of the running node; `ConfigError` leaves everything as it was.

        Requests that are under way keep the configuration that they have read.
        """
        self._configure(self.config.with_options(changes))

    @property
    def leads(self) -> bool:
        """Whether this process is the first or the only one of the node."""
        return self.siblings is None or self.siblings.number == 0

    @property
    def address(self) -> str:
        """The node's own address, 43 characters."""
        return self.wallet.address

    @property
    def operator(self) -> str:
        """Who may change the configuration: an address, or `unclaimed`."""
        return self.config.operator or self.address

    async def sign(self, message: Message, *, bundle: bool = False) -> Message:
        """The message with a commitment of this node's; RSA in a thread, bounded by the cores."""
        return await commit_signed(
            message,
            self.wallet,
            limiter=self.crypto_limiter,
            bundle=bundle,
            tag=message.hashpath,
            order=self.config.component_order,
        )

    def context(self) -> Context:
        """A fresh top-level context with the node's own cache control."""
        return Context(self, self.cache_control)

    async def resolve(
        self,
        base: Value | str | Mapping[str, Any],
        request: Message | str | Mapping[str, Any] | None = None,
    ) -> Value:
        """Resolve HyperPATH text, a request message with a `path`, or `base(request)`.

        The result is loaded one level. Raises `HyperbeamError`s with their HTTP status.
        """
        context = self.context()
        if request is None:
            return await context.resolve_many(_sequence(base))
        asked = request if isinstance(request, str | Message) else Message(request)
        return await context.resolve(_base(base), asked)


def _sequence(asked: Value | str | Mapping[str, Any]) -> list[Value]:
    if isinstance(asked, str | bytes):
        return parse(asked)
    if isinstance(asked, Message):
        return parse_request(asked)
    if isinstance(asked, Mapping):
        return parse_request(Message(asked))
    if isinstance(asked, list):
        return asked
    raise BadRequest(f"Can't resolve {asked!r:.80}; expected a path, a message or a sequence.")


def _base(base: Value | str | Mapping[str, Any]) -> Value:
    if isinstance(base, str):
        return Link(base)
    return Message(base) if isinstance(base, Mapping) and not isinstance(base, Message) else base


@asynccontextmanager
async def _layer(name: str, service: Service | None = None) -> AsyncIterator[trio.Nursery]:
    """A nursery of its own for one layer of services; leaving it cancels what runs there."""
    async with trio.open_nursery() as nursery:
        if service is not None:
            await nursery.start(service)
        log.info("%s started", name)
        try:
            yield nursery
        finally:
            nursery.cancel_scope.cancel()
            log.info("%s stopped", name)


@asynccontextmanager
async def _closing(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


@asynccontextmanager
async def open_node(
    config: NodeConfig | None = None,
    *,
    store: Store | Sequence[str] | str | None = None,
    wallet: Wallet | None = None,
    devices: Mapping[str, type[Device]] | None = None,
    **options: Any,
) -> AsyncIterator[Node]:
    """A running node inside the caller's Trio program, without a port (`serve_node` opens one).

    `options` change single options of `config`. `store` is one URI or several, or a `Store`, which
    stays the caller's to close. `wallet` is used instead of the configured file. `devices` adds
    device classes by name.
    """
    if store is not None and not isinstance(store, Store):
        options["store"] = [store] if isinstance(store, str) else list(store)
        store = None
    config = (config or NodeConfig()).with_options(options)
    try:
        async with _running(config, store, wallet, devices) as node:
            yield node
    except BaseExceptionGroup as group:
        raise single_cause(group) from None


@asynccontextmanager
async def _running(
    config: NodeConfig,
    store: Store | None,
    wallet: Wallet | None,
    devices: Mapping[str, type[Device]] | None,
) -> AsyncIterator[Node]:
    """The services in their order; an exception in the caller's block stops them in reverse."""
    async with AsyncExitStack() as stack:
        if store is None:
            store = await stack.enter_async_context(_closing(await open_stores(config.stores())))
        if wallet is None:
            path = str(config.priv_key_location)
            wallet = await trio.to_thread.run_sync(load_or_create, path, config.identity)
        client = stack.enter_context(closing(HttpClient(ClientSettings.of(config))))
        names = NameService()
        timestamps = TimestampService(config)
        await stack.enter_async_context(_layer("store", store.serve))
        # One core stays free: a signer that holds the interpreter's lock must not wait behind
        # another one while the loop wants it.
        signers = Signers(max(1, (os.cpu_count() or 1) - 1))
        await stack.enter_async_context(_layer("signers", signers.run))
        await stack.enter_async_context(_layer("name service", names.run))
        await stack.enter_async_context(_layer("timestamp service", timestamps.run))
        schedulers = await stack.enter_async_context(_layer("scheduler registry"))
        workers = await stack.enter_async_context(_layer("workers"))
        registry = TaskRegistry(schedulers, "scheduler")
        node = Node(config, store, wallet, names, timestamps, registry, workers, client, devices)
        yield node
