"""Every backend keeps the store contract."""

from pathlib import Path

from hyperbeam_trio.store import Store, open_store
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
