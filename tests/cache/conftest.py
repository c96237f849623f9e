from __future__ import annotations

import pytest

from hyperbeam_trio.cache import Cache
from tests.support.dict_store import DictStore


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def cache(store: DictStore) -> Cache:
    return Cache(store, clock=lambda: 1000.0)


@pytest.fixture(params=["fs", "lmdb"])
def kind(request: pytest.FixtureRequest) -> str:
    """How an older store keeps what it has."""
    kind: str = request.param
    return kind
