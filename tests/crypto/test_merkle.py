"""Merkle roots of transaction data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.crypto.merkle import MAX_CHUNK, MIN_CHUNK, chunk_sizes, data_root


@pytest.mark.parametrize(
    ("data", "rule", "root"),
    [
        (b"data", "arweave-js", "PtFB_UjWohdPYNrrsVgzUVEVBIRRPBN5EtZWvOGUXD0"),
        (b"x" * 262144, "arweave-js", "3L-SGO8KLjtoLjrYVegN-0ItNF83e_-p0OtLIPxS0GM"),
        (b"x" * 262145, "arweave-js", "Y35FiNYu_A8numvhI-1ryQWu4p8WTGLqbISNy7K4E_U"),
        (b"x" * 262145, "fixed", "J6ykoo9Q-HZODgEcIv-xyOFrDHfjcMrXmD7Z4BcDvnE"),
        (b"x" * 600000, "arweave-js", "Cu7iS1936LrlrYzj6flHH0v_KrOSDEGAtpuMdDq2jLU"),
        (b"x" * 600000, "fixed", "Cu7iS1936LrlrYzj6flHH0v_KrOSDEGAtpuMdDq2jLU"),
        (b"", "arweave-js", ""),
    ],
)
def test_known_roots(data, rule, root):
    assert to_base64url(data_root(data, rule)) == root
    assert to_base64url(data_root(memoryview(data), rule)) == root


@given(st.integers(1, 10 * MAX_CHUNK), st.sampled_from(["arweave-js", "fixed"]))
def test_chunks_are_the_whole_and_none_is_too_large(size, rule):
    sizes = list(chunk_sizes(size, rule))
    assert sum(sizes) == size
    assert max(sizes) <= MAX_CHUNK


@given(st.integers(MAX_CHUNK, 10 * MAX_CHUNK))
def test_no_chunk_behind_another_is_small_but_empty(size):
    assert all(chunk == 0 or chunk >= MIN_CHUNK for chunk in chunk_sizes(size))
