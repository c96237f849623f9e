"""Key files."""

from __future__ import annotations

import logging
import stat
import traceback

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.crypto.key_file import (
    generate_wallet,
    load_or_create,
    load_wallet,
    save_wallet,
    wallet_from_jwk,
)
from hyperbeam_trio.errors import ConfigError
from tests import vectors

KEY_1 = orjson.loads((vectors.FOLDER / "keys" / "key-1.json").read_bytes())


@pytest.mark.parametrize("name", ["rsa_wallet", "ed25519_wallet", "secp256k1_wallet"])
def test_a_saved_wallet_loads_again(request, tmp_path, name):
    wallet = request.getfixturevalue(name)
    save_wallet(wallet, tmp_path / "key.json")
    loaded = load_wallet(tmp_path / "key.json")
    assert (loaded.address, loaded.kind) == (wallet.address, wallet.kind)
    assert wallet.verify(b"data", loaded.sign(b"data"))


def test_a_saved_rsa_key_has_the_members_of_an_arweave_key_file(tmp_path, rsa_wallet):
    save_wallet(rsa_wallet, tmp_path / "key.json")
    written = orjson.loads((tmp_path / "key.json").read_bytes())
    assert written == {name: value for name, value in KEY_1.items() if name != "ext"}


def test_only_the_owner_reads_a_saved_wallet(tmp_path, ed25519_wallet, caplog):
    path = tmp_path / "key.json"
    save_wallet(ed25519_wallet, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_wallet(path).address == ed25519_wallet.address
    assert caplog.records == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_that_others_can_read_is_warned_of(tmp_path, ed25519_wallet, caplog, mode):
    path = tmp_path / "key.json"
    save_wallet(ed25519_wallet, path)
    path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        load_wallet(path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text


def test_an_existing_key_is_not_overwritten_unasked(tmp_path, ed25519_wallet, secp256k1_wallet):
    path = tmp_path / "key.json"
    save_wallet(ed25519_wallet, path)
    with pytest.raises(ConfigError, match="exists; it is not overwritten"):
        save_wallet(secp256k1_wallet, path)
    assert load_wallet(path).kind == "ed25519"
    save_wallet(secp256k1_wallet, path, replace=True)
    assert load_wallet(path).kind == "secp256k1"
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_can_not_be_saved_into_no_directory(tmp_path, ed25519_wallet):
    with pytest.raises(ConfigError, match="can't be written: No such file"):
        save_wallet(ed25519_wallet, tmp_path / "absent" / "key.json")


def test_a_missing_key_file_is_created_once(tmp_path):
    path = tmp_path / "key.json"
    first = load_or_create(path, "ed25519")
    assert load_or_create(path, "rsa").address == first.address
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_there_are_three_kinds_of_wallets():
    with pytest.raises(ConfigError, match="no wallet kind 'dsa'; use one of rsa, ed25519, secp"):
        generate_wallet("dsa")


SECRET = "c2VjcmV0IHRoYXQgbm9ib2R5IG1heSBzZWU"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (SECRET, "is not JSON"),
        (f'"{SECRET}"', "holds no JSON object"),
        (f'{{"d":"{SECRET}"', "is not JSON"),
        (f'{{"kty":"OKP","crv":"X25519","d":"{SECRET}"}}', "kty 'OKP' and crv 'X25519'"),
        (f'{{"kty":"OKP","crv":"Ed25519","d":"{SECRET}"}}', "seed has 32 bytes, not 26"),
        (f'{{"kty":"OKP","crv":"Ed25519","d":"{SECRET}!"}}', "'d' of the JWK is not base64url"),
        (f'{{"kty":"OKP","crv":"Ed25519","x":"{SECRET}"}}', "no member 'd'"),
        (f'{{"kty":"EC","crv":"secp256k1","d":"{SECRET * 2}"}}', "below the order of the curve"),
        (f'{{"kty":"RSA","n":"{SECRET}"}}', "no member 'e'"),
        (
            '{"kty":"RSA",'
            + ",".join(f'"{m}":"{SECRET}"' for m in ["n", "e", "d", "p", "q", "dp", "dq", "qi"])
            + "}",
            "exponent of an RSA wallet has to be 65537",
        ),
        (
            '{"kty":"RSA","e":"AQAB",'
            + ",".join(f'"{m}":"{SECRET}"' for m in ["n", "d", "p", "q", "dp", "dq", "qi"])
            + "}",
            "are no RSA key",
        ),
    ],
)
def test_a_bad_key_file_is_refused_without_a_word_of_it(tmp_path, content, problem):
    path = tmp_path / "key.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_wallet(path)
    assert str(path) in caught.value.text
    assert caught.value.__context__ is None
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert _without_tests(shown).count(SECRET) == 0


def _without_tests(shown: str) -> str:
    """What this package's own frames show; the test's own locals hold the content."""
    return "".join(part for part in shown.split("  File ") if "/tests/" not in part.split(",")[0])


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.json: can't be read: No such file"):
        load_wallet(tmp_path / "absent.json")


def test_a_public_member_of_another_key_is_refused(ed25519_wallet):
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": to_base64url(bytes(32)),
        "x": to_base64url(ed25519_wallet.public),
    }
    with pytest.raises(ConfigError, match="'x' of the JWK belongs to another key"):
        wallet_from_jwk(jwk)
    jwk["d"] = to_base64url(bytes(range(32)))
    assert wallet_from_jwk(jwk).address == ed25519_wallet.address


def test_an_ec_secret_may_lack_its_leading_zeros(tmp_path):
    jwk = {"kty": "EC", "crv": "secp256k1", "d": to_base64url(b"\1")}
    assert wallet_from_jwk(jwk).address == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y"]),
        st.sampled_from(["RSA", "OKP", "EC", "Ed25519", "secp256k1", "AQAB", "AA", "", 5, None])
        | st.text(max_size=8),
    )
)
def test_any_object_is_a_wallet_or_refused(jwk):
    with pytest.raises(ConfigError):
        wallet_from_jwk(jwk)
