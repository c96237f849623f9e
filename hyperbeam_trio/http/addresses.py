"""Which addresses the node may be sent to by others (spec/07 §8, §22 note 3).

A name is resolved once, the addresses that come out are judged, and one of these very addresses is
connected to, so that a name can't mean one thing to the check and another to the connection.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, NamedTuple

import trio

from hyperbeam_trio.errors import ConfigError, Forbidden, RemoteError

ADDRESSES: Final = 8
"""Addresses of one name that are looked at."""

_CLOSED_4: Final = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
_OPEN_6: Final = IPv6Network("2000::/3")
_CLOSED_6: Final = [ip_network(t) for t in ("2001::/23", "2001:db8::/32", "3fff::/20")]
# How IPv6 addresses lead to IPv4 ones: the network, and where the four bytes are.
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)


class Address(NamedTuple):
    """One address of a name, as the socket calls take it."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the Internet: not private, local, reserved or multicast."""
    inner = embedded(address)
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in _CLOSED_4)
    return inner in _OPEN_6 and not any(inner in network for network in _CLOSED_6)


def embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to (mapped, NAT64, 6to4), or the address."""
    if isinstance(address, IPv6Address):
        for network, shift in _EMBEDDING:
            if address in network:
                return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


class AddressPolicy:
    """What an operator allows beside public addresses.

    `allowed`: host names, addresses and networks in CIDR form; `all` allows everything.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._everything = False
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in allowed:
            text = entry.strip().lower().strip("[]")
            if text in ("all", "true", "*"):
                self._everything = True
            elif (network := _network(text)) is not None:
                self._networks.append(network)
            else:
                self._hosts.add(text)

    def check(self, host: str, addresses: Sequence[Address]) -> None:
        """`Forbidden` if any address of `host` is neither public nor allowed.

        The text does not say which address: nobody learns from us what names mean in here.
        """
        if self._everything or host in self._hosts:
            return
        if not all(self._permits(str(address.sockaddr[0])) for address in addresses):
            raise Forbidden(
                f"The host {host!r} has a private, local or reserved address, where nobody may "
                "send this node unless its operator lists the host in http-allow-private."
            )

    def _permits(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        inner = embedded(address)
        return is_public(address) or any(inner in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        if "/" in text:
            raise ConfigError(
                f"http-allow-private: {text!r} is no network; expected a host name, an address, "
                "a network such as 10.0.0.0/8, or all."
            ) from None
        return None


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, in the order in which to try them; `RemoteError` without any."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RemoteError(f"The host {host!r} has no address: {error}.") from error
    usable = [
        Address(family, sockaddr)
        for family, _, _, _, sockaddr in found[:ADDRESSES]
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    if not usable:
        raise RemoteError(f"The host {host!r} has no address of the Internet.")
    return usable
