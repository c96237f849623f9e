"""Wallets: a private key that signs and never shows itself (spec/02 §6, §11.3; spec/07 §1.3)."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn

import trio

from hyperbeam_trio.crypto import ed25519, secp256k1
from hyperbeam_trio.crypto.encoding import hash_id, to_base64
from hyperbeam_trio.crypto.keyid import (
    ED25519,
    RSA_PSS_SHA256,
    RSA_PSS_SHA512,
    ed25519_keyid,
    rsa_keyid,
)
from hyperbeam_trio.crypto.signers import call_aside
from hyperbeam_trio.errors import ConfigError

if TYPE_CHECKING:
    from coincurve import PrivateKey as EcPrivateKey

    from hyperbeam_trio.crypto import rsa

ECDSA: Final = "ecdsa-secp256k1-sha256"
ETHEREUM: Final = "ethereum"
TYPED_ETHEREUM: Final = "typed_ethereum"


class Wallet(ABC):
    """A private key. `algorithms` are the names that `sign` knows, the usual one first.

    `public` is the public key as items carry it in `owner` (RSA modulus, Ed25519 key, uncompressed
    secp256k1 key), `address` what others know the signer by, `keyid` its keyid in commitments.
    A wallet shows no private part in any text, can't be pickled, and copies to itself.
    """

    __slots__ = ("address", "keyid", "public")

    kind: ClassVar[str]
    algorithms: ClassVar[tuple[str, ...]]
    slow: ClassVar[bool] = False
    """Whether a signature takes so long that it belongs in a thread."""

    def __init__(self, public: bytes, address: str, keyid: str) -> None:
        self.public = public
        self.address = address
        self.keyid = keyid

    def sign(self, data: bytes, algorithm: str | None = None) -> bytes:
        """The signature of `data` by `algorithm`, or by the wallet's usual one."""
        return self._sign(data, self._check(algorithm))

    async def sign_async(
        self, data: bytes, algorithm: str | None = None, *, limiter: trio.CapacityLimiter
    ) -> bytes:
        """As `sign`, in a thread where signing is slow (see `call_aside`), else at once."""
        if not self.slow:
            return self.sign(data, algorithm)
        return await call_aside(self.sign, data, algorithm, limiter=limiter)

    def verify(self, data: bytes, signature: bytes, algorithm: str | None = None) -> bool:
        """Whether this wallet made `signature` over `data`."""
        return self._verify(data, signature, self._check(algorithm))

    def derived(self, purpose: bytes) -> bytes:
        """32 secret bytes for a purpose, always the same ones; they don't tell the key."""
        return hmac.digest(self._private_numbers()["d"], b"derived:" + purpose, "sha256")

    def _check(self, algorithm: str | None) -> str:
        chosen = algorithm or self.algorithms[0]
        if chosen not in self.algorithms:
            known = ", ".join(self.algorithms)
            raise ConfigError(f"A wallet of kind {self.kind} can't sign {chosen!r}, only {known}.")
        return chosen

    @abstractmethod
    def _sign(self, data: bytes, algorithm: str) -> bytes: ...

    @abstractmethod
    def _verify(self, data: bytes, signature: bytes, algorithm: str) -> bool: ...

    @abstractmethod
    def _private_numbers(self) -> dict[str, bytes]:
        """The members of the private JWK, not yet in base64; for `key_file` and here only."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def __copy__(self) -> Wallet:
        return self

    def __deepcopy__(self, memo: object) -> Wallet:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A wallet can't be pickled: that would copy its private key.")


class RsaWallet(Wallet):
    """An Arweave wallet: RSA, 4096 bits."""

    __slots__ = ("__key",)

    kind = "rsa"
    algorithms = (RSA_PSS_SHA512, RSA_PSS_SHA256)
    slow = True

    def __init__(self, key: rsa.PrivateKey) -> None:
        from hyperbeam_trio.crypto import rsa

        modulus = rsa.modulus(key)
        if not rsa.MIN_MODULUS <= len(modulus) <= rsa.MAX_MODULUS:
            bits = len(modulus) * 8
            raise ConfigError(f"An RSA key of {bits} bits can't be used, only 2048 to 4096.")
        super().__init__(modulus, hash_id(modulus), rsa_keyid(modulus))
        self.__key = key

    @classmethod
    def generate(cls, bits: int = 4096) -> RsaWallet:
        """A wallet with a new key; a second or so for 4096 bits."""
        from hyperbeam_trio.crypto import rsa

        return cls(rsa.generate(bits))

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        from hyperbeam_trio.crypto import rsa

        return rsa.sign(algorithm, self.__key, data)

    def _verify(self, data: bytes, signature: bytes, algorithm: str) -> bool:
        from hyperbeam_trio.crypto import rsa

        return rsa.verify(algorithm, self.public, signature, data)

    def _private_numbers(self) -> dict[str, bytes]:
        from hyperbeam_trio.crypto import rsa

        return rsa.to_numbers(self.__key)


class Ed25519Wallet(Wallet):
    """An Ed25519 wallet: signs in microseconds (spec decision 6)."""

    __slots__ = ("__secret",)

    kind = "ed25519"
    algorithms = (ED25519,)

    def __init__(self, seed: bytes) -> None:
        if len(seed) != ed25519.SEED_BYTES:
            raise ConfigError(f"An Ed25519 seed has {ed25519.SEED_BYTES} bytes, not {len(seed)}.")
        public, self.__secret = ed25519.key_pair(seed)
        super().__init__(public, hash_id(public), ed25519_keyid(public))

    @classmethod
    def generate(cls) -> Ed25519Wallet:
        """A wallet with a new key."""
        from secrets import token_bytes

        return cls(token_bytes(ed25519.SEED_BYTES))

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        return ed25519.sign(self.__secret, data)

    def _verify(self, data: bytes, signature: bytes, algorithm: str) -> bool:
        return ed25519.verify(self.public, signature, data)

    def _private_numbers(self) -> dict[str, bytes]:
        return {"x": self.public, "d": self.__secret[: ed25519.SEED_BYTES]}


class Secp256k1Wallet(Wallet):
    """An Ethereum wallet, which signs data items and transactions, not HTTP messages."""

    __slots__ = ("__key",)

    kind = "secp256k1"
    algorithms = (ETHEREUM, TYPED_ETHEREUM, ECDSA)

    def __init__(self, secret: bytes) -> None:
        self.__key = self._key(secret)
        public = secp256k1.public_key(self.__key)
        keyid = "publickey:" + to_base64(public)
        super().__init__(public, secp256k1.ethereum_address(public), keyid)

    @classmethod
    def generate(cls) -> Secp256k1Wallet:
        """A wallet with a new key."""
        return cls(secp256k1.private_key().secret)

    @staticmethod
    def _key(secret: bytes) -> EcPrivateKey:
        if len(secret) == 32 and 0 < int.from_bytes(secret, "big") < secp256k1.ORDER:
            return secp256k1.private_key(secret)
        raise ConfigError("A secp256k1 secret has 32 bytes and is below the order of the curve.")

    def _digest(self, data: bytes, algorithm: str) -> bytes:
        if algorithm == ETHEREUM:
            return secp256k1.personal_digest(data)
        if algorithm == TYPED_ETHEREUM:
            return secp256k1.typed_digest(data, self.address)
        return secp256k1.arweave_digest(data)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        sign = secp256k1.sign if algorithm == ECDSA else secp256k1.sign_ethereum
        return sign(self.__key, self._digest(data, algorithm))

    def _verify(self, data: bytes, signature: bytes, algorithm: str) -> bool:
        recover = secp256k1.recover if algorithm == ECDSA else secp256k1.recover_ethereum
        return recover(signature, self._digest(data, algorithm)) == self.public

    def _private_numbers(self) -> dict[str, bytes]:
        return {"x": self.public[1:33], "y": self.public[33:], "d": self.__key.secret}
