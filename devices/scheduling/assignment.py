"""Assignments: what says that a message has a slot, and who says so (spec/05 §4.5).

All assignments of a process have the same keys, so the bytes to sign are filled into a form that
is made once. They are the bytes that `codec.commit` would sign; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import commitment_id
from hyperbeam_trio.crypto.keyid import CONSTANT_AO, HMAC_SHA256, hmac_sha256
from hyperbeam_trio.crypto.signature_base import signature_params
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.devices.scheduling.chain import extend_base, extend_chain, first_base
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.hashpath import DEFAULT_ALGORITHM
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.service.timestamp import BlockTime

DEFAULT_PATH: Final = b"compute"
LONGEST_PATH: Final = 1024
"""Bytes of a message's own path, which names the key that its slot calls."""

_TYPES: Final = (
    b'block-height="integer", block-timestamp="integer", slot="integer", timestamp="integer"'
)
_KEY: Final = CONSTANT_AO.encode()
_DEVICE: Final = "httpsig@1.0"
_FIXED: Final = ("ao-types", "block-hash", "block-height", "block-timestamp", "body+link")
_REST: Final = ("data-protocol", "epoch", "hash-chain", "path", "process", "slot", "timestamp")
_NAMES: Final = (*_FIXED, *_REST, "type", "variant")
_NAMES_WITH_BASE: Final = (_NAMES[0], "base-hashpath", *_NAMES[1:])


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a schedule ends: its newest slot, -1 before the first, and what the next one needs.

    `chain`: the newest slot's `hash-chain`; `base`: its `base-hashpath`; `assignment`: its id.
    """

    slot: int = -1
    chain: str | None = None
    base: str | None = None
    assignment: str | None = None

    @classmethod
    def of(cls, assignment: Message) -> Tip:
        """The end of the schedule whose newest assignment this is; `BadRequest` if it is none."""
        return cls(
            assignment.int("slot"),
            assignment.text("hash-chain", None),
            assignment.text("base-hashpath", None),
            signed_id(assignment),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """An assignment that lacks its signatures: its keys, and the lines that all of them cover."""

    items: Mapping[str, Value]
    lines: bytes
    tip: Tip
    """The end of the schedule once this is part of it; its `assignment` is not known yet."""


class Notary:
    """Drafts and signs the assignments of one process, in the name of one or several wallets.

    `with_base` adds `base-hashpath` by `algorithm`; then a draft needs the id of the assignment
    before it, which has to be signed first.
    """

    wallets: Sequence[Wallet]

    def __init__(
        self,
        process: str,
        wallets: Sequence[Wallet],
        *,
        with_base: bool = False,
        algorithm: str = DEFAULT_ALGORITHM,
    ) -> None:
        if not wallets:
            raise BadRequest("Assignments are signed by at least one wallet.")
        self.process = process
        self.with_base = with_base
        self._algorithm = algorithm
        self.wallets = tuple(wallets)
        names = _NAMES_WITH_BASE if with_base else _NAMES
        self._committed = tuple(name.removesuffix("+link") for name in names)
        self._starts = [
            b'%b"%b": ' % (b"\n" if n else b"", name.encode()) for n, name in enumerate(names)
        ]
        self._forms = [_Form(names, w.algorithms[0], w.keyid, w.address) for w in wallets]
        self._unsigned = _Form(names, HMAC_SHA256, CONSTANT_AO, None)

    @property
    def addresses(self) -> list[str]:
        """Who signs."""
        return [wallet.address for wallet in self.wallets]

    @property
    def slow(self) -> bool:
        """Whether a signature belongs in a thread."""
        return any(wallet.slow for wallet in self.wallets)

    def draft(
        self, message: Message, path: bytes, tip: Tip, block: BlockTime, milliseconds: int
    ) -> Draft:
        """The assignment of the slot behind `tip` to `message`, at a time and a block."""
        slot, id = tip.slot + 1, signed_id(message)
        chain = extend_chain(tip.chain if slot else None, id).encode()
        base = self._base_hashpath(tip) if self.with_base else None
        block_hash, process = block.hash.encode(), self.process.encode()
        items: dict[str, Value] = {
            "block-hash": block_hash,
            "block-height": block.height,
            "block-timestamp": block.timestamp,
            "body": message,
            "data-protocol": b"ao",
            "epoch": b"0",
            "hash-chain": chain,
            "path": path,
            "process": process,
            "slot": slot,
            "timestamp": milliseconds,
            "type": b"Assignment",
            "variant": b"ao.N.1",
        }
        values = [
            _TYPES,
            block_hash,
            b"%d" % block.height,
            b"%d" % block.timestamp,
            id.encode(),
            *(b"ao", b"0", chain, path, process),
            b"%d" % slot,
            b"%d" % milliseconds,
            *(b"Assignment", b"ao.N.1"),
        ]
        if base is not None:
            items["base-hashpath"] = base.encode()
            values.insert(1, base.encode())
        return Draft(items, self._lines(values), Tip(slot, chain.decode(), base))

    def _base_hashpath(self, tip: Tip) -> str:
        if tip.base is None or tip.assignment is None:
            # Slot 0, or the slots before this one have none, so that it begins anew.
            return first_base(self.process)
        return extend_base(tip.base, tip.assignment, self._algorithm)

    def _lines(self, values: Sequence[bytes]) -> bytes:
        return b"".join([name + value for name, value in zip(self._starts, values, strict=True)])

    def sign(self, draft: Draft) -> list[bytes]:
        """A signature of each wallet; milliseconds for RSA, so call it where waiting is fine."""
        return [
            wallet.sign(form.base(draft.lines))
            for wallet, form in zip(self.wallets, self._forms, strict=True)
        ]

    def finish(self, draft: Draft, signatures: Sequence[bytes]) -> Message:
        """The assignment with its signatures and its unsigned commitment."""
        base = self._unsigned.base(draft.lines)
        unsigned = self._unsigned.commitment(draft, hmac_sha256(_KEY, base), base, self._committed)
        made = [
            form.commitment(draft, signature, form.base(draft.lines), self._committed)
            for form, signature in zip(self._forms, signatures, strict=True)
        ]
        assignment = Message.of(draft.items).with_commitments([*made, unsigned])
        # All keys are committed, so the unsigned commitment's id is the message's.
        assignment._id = unsigned.id
        return assignment


class _Form:
    """What the bases of one signer have in common."""

    __slots__ = ("_end", "_keyid", "_signer", "_type")

    def __init__(self, names: Sequence[str], type_: str, keyid: str, signer: str | None) -> None:
        params = signature_params(names, {"alg": type_, "keyid": keyid})
        self._end = b'\n"@signature-params": ' + params.encode()
        self._type = type_
        self._keyid = keyid
        self._signer = signer

    def base(self, lines: bytes) -> bytes:
        """The bytes to sign."""
        return lines + self._end

    def commitment(
        self, draft: Draft, signature: bytes, base: bytes, committed: tuple[str, ...]
    ) -> Commitment:
        return Commitment(
            id=commitment_id(signature),
            device=_DEVICE,
            type=self._type,
            signature=signature,
            committed=committed,
            keyid=self._keyid,
            committer=self._signer,
            extra=_NOTHING,
            evidence=Evidence(draft.items, base=base),
        )


_NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})


def path_of(message: Message) -> bytes:
    """The key that a slot calls: the message's own path without its leading slash, or `compute`.

    Raises `BadRequest` for a path that can't stand in an assignment.
    """
    if "path" not in message:
        return DEFAULT_PATH
    path = message.text("path").strip("/").encode()
    if len(path) > LONGEST_PATH or any(byte < 32 or byte == 127 for byte in path):
        raise BadRequest(
            f"The message's own path has {len(path)} bytes or control characters; at most "
            f"{LONGEST_PATH} printable ones name the key that its slot calls."
        )
    return path or DEFAULT_PATH
