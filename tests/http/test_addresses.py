"""Which addresses count as public, and what an operator may add."""

import socket
from ipaddress import ip_address

import pytest
import trio

from hyperbeam_trio.errors import ConfigError, Forbidden, RemoteError
from hyperbeam_trio.http.addresses import Address, AddressPolicy, is_public, resolve
from tests.http.servers import Names

CLOSED = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1"),
    *("172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255"),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1"),
    *("fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "100::1", "2001:db8::1"),
    *("2001::1", "2001:20::1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::1", "3fff::1", "5f00::1"),
]
OPEN = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"),
    *("192.0.1.1", "198.20.0.1", "223.255.255.255"),
    *("2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "2002:808:808::1"),
    *("64:ff9b::8.8.8.8", "2a00:1450::1"),
]


@pytest.mark.parametrize("text", CLOSED)
def test_what_is_no_address_of_the_internet_is_not_public(text):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", OPEN)
def test_addresses_of_the_internet_are_public(text):
    assert is_public(ip_address(text))


def at(text: str) -> Address:
    if ":" in text:
        return Address(socket.AF_INET6, (text, 80, 0, 0))
    return Address(socket.AF_INET, (text, 80))


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(Forbidden, match=r"evil\.example"):
        AddressPolicy().check("evil.example", [at("1.1.1.1"), at("127.0.0.1")])


def test_a_refusal_does_not_tell_the_address():
    with pytest.raises(Forbidden) as refused:
        AddressPolicy().check("db.internal", [at("10.20.30.40")])
    assert "10.20" not in str(refused.value)


@pytest.mark.parametrize(
    "allowed", ["10.0.0.0/8", "10.20.30.40", "db.internal", "DB.Internal", "all", "true"]
)
def test_an_operator_may_allow_a_host_an_address_a_network_or_all(allowed):
    AddressPolicy([allowed]).check("db.internal", [at("10.20.30.40")])


def test_an_allowed_network_covers_addresses_that_lead_into_it():
    AddressPolicy(["127.0.0.0/8"]).check("x", [at("::ffff:127.0.0.1")])


def test_what_is_allowed_allows_nothing_else():
    policy = AddressPolicy(["10.0.0.0/8", "db.internal", "fd00::/8"])
    with pytest.raises(Forbidden):
        policy.check("db.internal.example", [at("127.0.0.1")])


def test_an_address_with_a_zone_is_judged_too():
    with pytest.raises(Forbidden):
        AddressPolicy().check("x", [Address(socket.AF_INET6, ("fe80::1%lo", 80, 0, 1))])


def test_a_network_that_is_none_is_an_error_of_the_configuration():
    with pytest.raises(ConfigError, match="http-allow-private"):
        AddressPolicy(["10.0.0.0/99"])


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1", "0"])
async def test_addresses_in_odd_notations_are_what_the_system_takes_them_for(host):
    (address,) = await resolve(host, 80)
    with pytest.raises(Forbidden):
        AddressPolicy().check(host, [address])


async def test_a_name_without_an_address_is_the_remotes_fault():
    trio.socket.set_custom_hostname_resolver(Names({}))
    with pytest.raises(RemoteError, match=r"nowhere\.example"):
        await resolve("nowhere.example", 80)


async def test_a_name_has_its_addresses_in_their_order():
    trio.socket.set_custom_hostname_resolver(Names({"a.example": ["2606:4700::1", "1.1.1.1"]}))
    found = await resolve("a.example", 443)
    assert [address.sockaddr[:2] for address in found] == [("2606:4700::1", 443), ("1.1.1.1", 443)]
