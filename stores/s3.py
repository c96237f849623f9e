"""`s3:BUCKET/PREFIX` — objects in any S3-compatible service, which several nodes may share.

Needs the extra `s3` (obstore). Options: `endpoint` (for services other than Amazon's), `region`,
`access-key`, `secret-key` (else from the environment, `AWS_ACCESS_KEY_ID` …), `timeout` (seconds
for one request, default 20), `retries` (default 3), `connections` (requests at once, default 32),
`check` (default yes: try the service when opening, and whether it creates exclusively).

What is promised here: a value is written wholly or not at all, and survives what the service
survives. `create` is exclusive over all nodes (a conditional PUT). A batch is not atomic: its items
appear in their order, one by one, except that a run of content (`data/…`) is written at once, for
content points at nothing. So a reader never sees a name whose content is missing, but after an
error or a crash the first items of a batch may be there without the others; writing it again
completes it. Requests run in threads: a cancelled call ends when its request does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any, Self, TypeVar
from zlib import crc32

import trio

from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.store import CONTENT_PREFIX, Scope, Store, check_key, check_value
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.frame import damaged
from hyperbeam_trio.stores.in_flight import InFlight
from hyperbeam_trio.stores.s3_names import just_before, key_of, object_name
from hyperbeam_trio.stores.workers import Workers

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError
    from obstore.store import S3Store as Bucket
except ImportError as error:
    raise ConfigError(
        "store s3: the package obstore is missing; install hyperbeam-trio[s3]."
    ) from error

T = TypeVar("T")
Keys = list[str]

PAGE = 1000
PART_BYTES = 8 << 20
CREATE_TRIES = 5
CHECKSUM = "checksum"
WRITER = "writer"


class S3Store(Store):
    """A prefix of a bucket. See `Store` for the methods, and above for what differs."""

    scope: Scope = "remote"
    shared = True

    def __init__(self, bucket: Bucket, place: str, connections: int) -> None:
        self._bucket = bucket
        self._place = place
        self._connections = connections
        self._workers = Workers(connections)
        self._in_flight = InFlight(place)

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open `BUCKET/PREFIX`; `ConfigError` when the service can't be used as a store."""
        name, _, prefix = location.partition("/")
        if not name:
            raise ConfigError("store s3: it needs a bucket, such as 's3:my-bucket/node'.")
        read = StoreOptions("s3", options)
        endpoint = read.text("endpoint", "")
        connections = read.count("connections", 32)
        check = read.flag("check", True)
        bucket = _bucket(name, prefix, endpoint, read)
        read.done()
        store = cls(bucket, f"s3 {location}" + f" at {endpoint}" * bool(endpoint), connections)
        if check:
            await store._check_service()
        return store

    async def get(self, key: str) -> bytes | None:
        raw = check_key(key)
        with self._in_flight:
            return await self._call(lambda: self._get(key, raw))

    async def put(self, items: Mapping[str, bytes]) -> None:
        for key, value in items.items():
            check_key(key)
            check_value(key, value)
        with self._in_flight:
            runs = groupby(items, key=lambda key: key.startswith(CONTENT_PREFIX))
            for is_content, run in runs:
                puts = (partial(self._put, key, items[key]) for key in run)
                await self._all(puts, self._connections if is_content else 1)

    async def create(self, key: str, value: bytes) -> bool:
        check_key(key)
        check_value(key, value)
        writer = secrets.token_hex(8)
        with self._in_flight:
            return await self._call(lambda: self._create(key, value, writer))

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        with self._in_flight:
            start = f"k/{object_name(prefix)}"
            behind = max(just_before(start), f"k/{object_name(after)}" if after else "")
            pages = iter(self._bucket.list("k", offset=behind, chunk_size=PAGE))
            found: Keys = []
            while limit is None or len(found) < limit:
                page = await self._call(lambda: next(pages, ()))
                names = [meta["path"] for meta in page if meta["path"].startswith(start)]
                found += (self._key_of(name) for name in names)
                if not page or len(names) < len(page):
                    break
            return found[:limit]

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        with self._in_flight:
            names = [f"k/{object_name(key)}" for key in keys]
            chunks = (names[start : start + PAGE] for start in range(0, len(names), PAGE))
            await self._all((partial(self._delete, chunk) for chunk in chunks), 1)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep threads ready for requests, which makes them cheaper."""
        await self._workers.serve(task_status)

    async def close(self) -> None:
        await self._in_flight.aclose()

    def describe(self) -> str:
        return self._place

    async def _call(self, request: Callable[[], T]) -> T:
        """Run a request in a thread, with our errors."""
        try:
            return await self._workers.run(request)
        except (BaseError, OSError, ValueError) as error:
            raise self._error(error) from error

    async def _all(self, requests: Iterable[Callable[[], None]], workers: int) -> None:
        """Run requests, `workers` at a time, in order; the first error stops the rest."""
        waiting = iter(requests)
        errors: list[Exception] = []

        async def work() -> None:
            for request in waiting:
                try:
                    await self._call(request)
                except StoreError as error:
                    errors.append(error)
                if errors:
                    return

        if workers == 1:
            await work()
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(work)
        if errors:
            raise errors[0]

    # In threads.

    def _get(self, key: str, raw: bytes) -> bytes | None:
        found = self._find(key)
        if found is None:
            return None
        value = bytes(found.bytes())
        if found.attributes.get(CHECKSUM) != _checksum(raw, value):
            raise damaged(self._place, key, len(value))
        return value

    def _find(self, key: str) -> obstore.GetResult | None:
        try:
            return self._bucket.get(f"k/{object_name(key)}")
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StoreError(f"store {self._place}: there is no such bucket.") from error
            return None

    def _put(self, key: str, value: bytes) -> None:
        self._bucket.put(
            f"k/{object_name(key)}",
            value,
            attributes=_attributes(key, value),
            use_multipart=len(value) > PART_BYTES,
            chunk_size=PART_BYTES,
        )

    def _create(self, key: str, value: bytes, writer: str) -> bool:
        """A conditional PUT; refused, it asks whose object is there.

        The refusal may answer our own request, repeated after its first answer was lost; and
        services may refuse both of two rivals (409), so that nobody has the key yet.
        """
        attributes = {**_attributes(key, value), WRITER: writer}
        for _ in range(CREATE_TRIES):
            try:
                self._bucket.put(
                    f"k/{object_name(key)}",
                    value,
                    attributes=attributes,
                    mode="create",
                    use_multipart=False,
                )
            except AlreadyExistsError:
                found = self._find(key)
                if found is not None:
                    return found.attributes.get(WRITER) == writer
            else:
                return True
        raise StoreError(f"store {self._place}: the create of {key!r} was refused, yet it is free.")

    def _delete(self, names: Sequence[str]) -> None:
        try:
            self._bucket.delete(list(names))
        except FileNotFoundError:
            return

    async def _check_service(self) -> None:
        """Whether the bucket is there and ours, and a second create of one name is refused."""
        try:
            exclusive = await self._call(self._probe)
        except StoreError as error:
            raise ConfigError(f"{error} Set the option check=no to start without it.") from error
        if not exclusive:
            raise ConfigError(
                f"store {self._place}: the service ignores 'If-None-Match: *', so two nodes could "
                "take one slot; it can't be used as a store."
            )

    def _probe(self) -> bool:
        refused = False
        for _ in range(2):
            try:
                self._bucket.put("probe", b"", mode="create", use_multipart=False)
            except AlreadyExistsError:
                refused = True
        return refused

    def _key_of(self, name: str) -> str:
        try:
            return key_of(name[2:])
        except (ValueError, KeyError) as error:
            raise CorruptData(
                f"store {self._place}: the object {name!r} is none of ours; remove it."
            ) from error

    def _error(self, error: Exception) -> Exception:
        if isinstance(error, (CorruptData, StoreError)):
            return error
        text = str(error).split("\n", 1)[0]
        return StoreError(f"store {self._place}: {type(error).__name__}: {text}")


def _bucket(name: str, prefix: str, endpoint: str, read: StoreOptions) -> Bucket:
    timeout = timedelta(seconds=read.seconds("timeout", 20.0))
    retries = read.count("retries", 3, least=0)
    given = {
        "endpoint": endpoint,
        "region": read.text("region", "us-east-1" if endpoint else ""),
        "access_key_id": read.text("access-key", ""),
        "secret_access_key": read.text("secret-key", ""),
    }
    settings: dict[str, Any] = {option: value for option, value in given.items() if value}
    try:
        return Bucket(
            name,
            prefix=prefix or None,
            client_options={"timeout": timeout, "allow_http": endpoint.startswith("http://")},
            retry_config={"max_retries": retries, "retry_timeout": timeout},
            **settings,
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(f"store s3 {name}: {error}") from error


def _attributes(key: str, value: bytes) -> dict[str, str]:
    checksum = _checksum(key.encode(), value)
    return {"Content-Type": "application/octet-stream", CHECKSUM: checksum}


def _checksum(key: bytes, value: bytes) -> str:
    return f"{crc32(value, crc32(key)):08x}"
