"""Coverage-guided fuzzing of the decoders, by hand; needs atheris.

`python -m tests.codec.fuzz httpsig corpus -max_total_time=600`. A finding is any exception that is
not ours, and any message that outgrows its bytes, or that does not come back from its own encoding.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hyperbeam_trio.codec", "hyperbeam_trio.crypto"]):
    from hyperbeam_trio.codec.ans104 import ANS104
    from hyperbeam_trio.codec.base import Codec
    from hyperbeam_trio.codec.flat import FLAT
    from hyperbeam_trio.codec.httpsig import HTTPSIG
    from hyperbeam_trio.codec.json import JSON
    from hyperbeam_trio.codec.tx import TX

from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.errors import BadRequest, TooLarge
from hyperbeam_trio.testing.codec import MOST_GROWTH, weight

CODECS: dict[str, Codec] = {
    "httpsig": HTTPSIG,
    "json": JSON,
    "flat": FLAT,
    "ans104": ANS104,
    "tx": TX,
}


LOSSLESS = (HTTPSIG, JSON)


def check(codec: Codec, data: bytes) -> None:
    """Read `data`, and write and read again what it holds."""
    try:
        message = codec.from_bytes(data)
    except (BadRequest, TooLarge):
        return
    if weight(message) > MOST_GROWTH * (len(data) + 1):
        raise AssertionError(f"{len(data)} bytes became {weight(message)}")
    failing_commitments(message)
    try:
        written = codec.to_bytes(message, bundle=True)
    except BadRequest:
        return
    if codec in LOSSLESS and codec.from_bytes(written) != message:
        raise AssertionError("what was read does not come back")


def main() -> None:
    codec = CODECS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: check(codec, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
