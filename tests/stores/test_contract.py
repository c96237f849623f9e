"""Every backend keeps the store contract."""

from pathlib import Path

from hyperbeam_trio.store import Store, open_store, open_stores
from hyperbeam_trio.testing.faults import FaultyStore
from hyperbeam_trio.testing.store import StoreContract


class TestMemory(StoreContract):
    durable = False

    async def open_store(self, where: Path) -> Store:
        return await open_store("memory:")


class TestLmdb(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_store(f"lmdb:{where}/data")


class TestLmdbThatGrows(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_store(f"lmdb:{where}/data?map-size=64KiB")


class TestLmdbWithoutSync(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_store(f"lmdb:{where}/data?sync=no")


class TestFs(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_store(f"fs:{where}/data")


class TestTiered(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_stores(["memory:", f"lmdb:{where}/near", f"fs:{where}/far"])


class TestTieredWithASmallCache(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_stores(["memory:?capacity=2KiB", f"lmdb:{where}/data"])


class TestTieredWrittenBack(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_stores([f"lmdb:{where}/near", f"fs:{where}/far?write=back"])


class TestFaultyWithoutFaults(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return FaultyStore(await open_store(f"lmdb:{where}/data"))
