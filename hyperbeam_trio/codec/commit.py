"""Committing to messages by httpsig@1.0, and checking such commitments (spec/02 §6, §8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import trio

from hyperbeam_trio.codec.components import (
    DEVICE,
    SORTED,
    Order,
    bases,
    covered,
    keys_of,
    keys_signed,
    ordered,
    whole,
)
from hyperbeam_trio.codec.layout import Layout, lay_out
from hyperbeam_trio.codec.signature_fields import committer_of
from hyperbeam_trio.codec.tabm import Tabm
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import commitment_id
from hyperbeam_trio.crypto.keyid import (
    CONSTANT_AO,
    HMAC_SHA256,
    Keyid,
    hmac_sha256,
    secret_keyid,
    verify_signature,
)
from hyperbeam_trio.crypto.signature_base import (
    SIGNED_PARAMETERS,
    base_of,
    is_ambiguous,
    listed_names,
    parameters_text,
)
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.verifiers import register_verifier

_LONGEST_KEPT: Final = 1024
_BODY_KEYS: Final = (None, b"body", b"data")
_NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})


def commit_unsigned(
    message: Message,
    *,
    bundle: bool = False,
    committed: Sequence[str] | None = None,
    keyid: str | None = None,
    secret: bytes | None = None,
    order: Order = SORTED,
) -> Message:
    """The message with an HMAC commitment; an older one with the same keyid is replaced.

    The key is `secret`, or the text of a `constant:` keyid (by default `constant:ao`). `committed`
    are the keys to commit to; by default those of the signatures that are there, else all. With
    `bundle` nested messages are committed with all they hold, else by their ids. `order` is that
    of the components: only `sorted` gives the ids that everybody expects (spec/02 §9.1). Raises
    `BadRequest` for keys that are not there.
    """
    draft = _Draft(message, committed, bundle, order)
    return draft.with_hmac(message, keyid, secret)


async def commit_signed(
    message: Message,
    wallet: Wallet,
    *,
    limiter: trio.CapacityLimiter,
    committed: Sequence[str] | None = None,
    bundle: bool = False,
    tag: str | None = None,
    order: Order = SORTED,
) -> Message:
    """The message with a signature of `wallet`, and the `constant:ao` HMAC over the same keys.

    A slow key signs in a thread, under `limiter` where no node has threads for it, a fast one at
    once. `tag` is by default the message's hashpath; the rest is as for `commit_unsigned`.
    """
    draft = _Draft(message, committed, bundle, order)
    hashpath = message.hashpath if tag is None else tag
    type_, keyid = wallet.algorithms[0], wallet.keyid
    base = draft.base(type_, keyid, hashpath)
    signature = await wallet.sign_async(base, limiter=limiter)
    signed = draft.commitment(type_, keyid, wallet.address, hashpath, base, signature)
    return draft.with_hmac(_with(message, signed, message.commitments.values()), None, None)


class _Draft:
    """What is going to be committed of a message."""

    __slots__ = ("_body", "_bundle", "_components", "_keys", "_lines", "_values")

    def __init__(
        self, message: Message, committed: Sequence[str] | None, bundle: bool, order: Order
    ) -> None:
        tabm = whole(message, bundle=bundle)
        keys = _keys_to_commit(message, committed) or keys_of(tabm)
        layout = _laid_out(tabm, keys)
        components = ordered(layout.components(), keys, order)
        names = [name for name, _ in components]
        self._bundle = bundle
        self._keys = keys_signed(names, layout, keys)
        self._values = {key: message[key] for key in self._keys if key in message}
        # The parts of a body are copies of what the message has, and not worth being kept.
        self._body = None if layout.is_multipart else layout.body
        self._lines = base_of(components, "")
        self._components = listed_names(tuple(names))

    def base(self, type_: str, keyid: str, tag: str | None) -> bytes:
        """The bytes to be signed."""
        bundle = True if self._bundle else None
        usual = tag is None and len(keyid) <= _LONGEST_KEPT
        write = _kept_parameters if usual else _parameters
        return self._lines + (self._components + write(type_, keyid, bundle, tag)).encode()

    def commitment(
        self,
        type_: str,
        keyid: str,
        committer: str | None,
        tag: str | None,
        base: bytes,
        signature: bytes,
    ) -> Commitment:
        """What `signature` over `base` makes of the draft."""
        return Commitment(
            commitment_id(signature),
            DEVICE,
            type_,
            signature,
            self._keys,
            keyid,
            committer,
            True if self._bundle else None,
            _NOTHING if tag is None else MappingProxyType({"tag": tag.encode()}),
            Evidence(self._values, base=base, body=self._body),
        )

    def with_hmac(self, message: Message, keyid: str | None, secret: bytes | None) -> Message:
        """The message with the HMAC commitment, in the place of one with the same keyid."""
        text, key, committer = _hmac_key(keyid, secret)
        base = self.base(HMAC_SHA256, text, None)
        made = self.commitment(HMAC_SHA256, text, committer, None, base, hmac_sha256(key, base))
        others = [c for c in message.commitments.values() if c.keyid != text]
        return _with(message, made, others)


def _parameters(type_: str, keyid: str, bundle: bool | None, tag: str | None) -> str:
    """The parameters of a commitment, as they stand in its base."""
    given = {"alg": type_, "keyid": keyid}
    if bundle is not None:
        given["bundle"] = "true" if bundle else "false"
    if tag is not None:
        given["tag"] = tag
    return parameters_text(given, SIGNED_PARAMETERS)


_kept_parameters = lru_cache(maxsize=256)(_parameters)
"""Many messages are committed to alike, by the same signer."""


def _with(message: Message, made: Commitment, others: Iterable[Commitment]) -> Message:
    return message.with_commitments([*others, made])


def _keys_to_commit(message: Message, committed: Sequence[str] | None) -> tuple[str, ...]:
    """The keys that are asked for, else those of the commitments that are there, else none."""
    if committed is not None:
        return tuple(dict.fromkeys(key.removesuffix("+link") for key in committed))
    present = [c for c in message.commitments.values() if c.device == DEVICE or c.committer]
    signed = [c for c in present if c.committer is not None] or present
    if not signed:
        return ()
    shared = set(signed[0].committed).intersection(*(c.committed for c in signed[1:]))
    return tuple(key for key in signed[0].committed if key in shared)


def _laid_out(tabm: Tabm, keys: tuple[str, ...]) -> Layout:
    if tabm.get("ao-body-key") not in _BODY_KEYS:
        raise BadRequest("A message whose 'ao-body-key' is not 'body' or 'data' can't be signed.")
    chosen = covered(tabm, keys)
    if chosen is None:
        known = keys_of(tabm)
        missing = ", ".join(repr(key) for key in keys if key not in known)
        raise BadRequest(f"Keys to commit to that the message does not have: {missing}.")
    return lay_out(chosen)


def _hmac_key(keyid: str | None, secret: bytes | None) -> tuple[str, bytes, str | None]:
    if secret is not None:
        text = secret_keyid(secret)
        return text, secret, Keyid.parse(text, HMAC_SHA256).committer
    parsed = Keyid.parse(keyid or CONSTANT_AO, HMAC_SHA256)
    if parsed.scheme != "constant":
        raise BadRequest(f"keyid {parsed.text[:80]!r} needs a secret, or should be 'constant:…'.")
    return parsed.text, parsed.key, None


def verify(message: Message, commitment: Commitment, *, secret: bytes | None = None) -> bool:
    """Whether a httpsig commitment holds for `message`.

    First over what was signed to the byte, where that is known and says what the message says;
    then over the message as it is, in our form and in the forms of other versions. A commitment
    that claims another id or committer than its signature and its keyid give does not hold, nor
    one whose base may say something else as well.
    """
    if commitment.keyid is None or not _is_consistent(commitment):
        return False
    keyid = Keyid.parse(commitment.keyid, commitment.type)
    tried: set[bytes] = set()
    for base in _candidates(message, commitment):
        if base not in tried and not is_ambiguous(base):
            tried.add(base)
            if verify_signature(commitment.type, keyid, base, commitment.signature, secret):
                return True
    return False


def _is_consistent(commitment: Commitment) -> bool:
    if commitment.id != commitment_id(commitment.signature):
        return False
    implied = committer_of(commitment.device, commitment.type, commitment.keyid, ours=False)
    return commitment.committer is None or commitment.committer == implied


def _candidates(message: Message, commitment: Commitment) -> Iterable[bytes]:
    evidence = commitment.evidence
    if evidence is not None and evidence.base is not None and evidence.covers(message):
        yield evidence.base
    yield from bases(message, commitment)


register_verifier(DEVICE, verify)
