"""Byte sequences that a door must survive, with the answers it must give.

`answers` are the statuses of the responses, in order. `then` says what follows: the connection is
`closed`; it is `open` for another request; the door `waits` for more bytes; or it is closed and
the answers may be `lost` on the way. Where hypercorn answers otherwise, `hypercorn` tells how and
`why` that is no fault. Whatever is sent, no request for a target with `smuggled`
in it may reach the handler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Then = Literal["open", "closed", "waits", "lost"]
Answer = tuple[tuple[int, ...], Then]


@dataclass(frozen=True)
class Case:
    """One sequence; `eof` shuts the sending side after it."""

    name: str
    data: bytes
    answers: tuple[int, ...]
    then: Then = "closed"
    hypercorn: Answer | None = None
    why: str = ""
    eof: bool = False


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([start, b"Host: a", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return head(*lines, start=b"POST / HTTP/1.1") + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


FOLDED: Answer = ((200,), "open")
UNFOLDED = "RFC 9112 §5.2 lets a server put a space where a fold was"
LOST: Answer = ((), "lost")
EARLY = "hypercorn closes without reading on, so that our answer can be lost"
UNKNOWN_CODING: Answer = ((501,), "closed")
SHOULD_501 = "RFC 9112 §6.1: 501 for a coding that is not known"
IGNORED = "h11 skips extensions unread; where they end is not in doubt"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
OK = (200,)
BAD = (400,)

# RFC 9112 §2.2, §3: line ends and the request line.
LINES = [
    Case("two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("a tab after the method", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("no version", b"GET /\r\n\r\n", BAD),
    Case("version 1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", (505,)),
    Case(
        "version 2.0 without the preface",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        (505,),
        hypercorn=((505,), "open"),
        why="HTTP/2's way to refuse leaves the connection open",
    ),
    Case("version 0.9", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", (505,)),
    Case("lower-case protocol name", b"GET / http/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("two-digit version", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", BAD),
    Case("version without a dot", b"GET / HTTP/11\r\nHost: a\r\n\r\n", BAD),
    Case("another protocol", b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", BAD),
    Case("a space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", BAD),
    Case("a space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case(
        "a lower-case method",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        (501,),
        hypercorn=((200,), "open"),
        why="hypercorn folds the case of methods before we see them",
    ),
    Case(
        "an unknown method",
        b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
        OK,
        "open",
    ),
    Case("a method with a colon", b"G:T / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("zero byte in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("byte 255 in the target", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("a tab in the target", b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("a target without a slash", b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("a fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("an asterisk with GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("an asterisk with OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", OK, "open"),
    Case("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", (405,)),
    Case("an http URL", b"GET http://a/b HTTP/1.1\r\nHost: c\r\n\r\n", OK, "open"),
    Case("a URL with a user", b"GET http://u@a/b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("a URL without a host", b"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("an ftp URL", b"GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case(
        "lines that end in LF",
        b"GET / HTTP/1.1\nHost: a\n\n",
        BAD,
        hypercorn=((200,), "open"),
        why="RFC 9112 §2.2 lets a recipient take a bare LF for a line end",
    ),
    Case("lines that end in CR", b"GET / HTTP/1.1\rHost: a\r\r", BAD, eof=True),
    Case(
        "empty lines before",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        OK,
        "open",
        hypercorn=(BAD, "closed"),
        why="RFC 9112 §2.2 says should ignore, not must",
    ),
    Case("a bare LF before", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Case("binary rubbish", bytes(range(128, 256)) + b"\r\n\r\n", BAD),
    Case("zero bytes", b"\0" * 64, BAD),
    Case("a TLS greeting", bytes.fromhex("1603010200010001fc0303") + bytes(64), BAD),
    Case("a head that ends early", b"GET / HTTP/1.1\r\nHost: a", BAD, eof=True),
    Case(
        "an SSH greeting",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        BAD,
        hypercorn=((), "waits"),
        why="h11 looks at a head when it is whole",
    ),
    Case(
        "a target of 2 MiB",
        b"GET /" + b"a" * (2 << 20) + b" HTTP/1.1\r\n\r\n",
        (414,),
        hypercorn=LOST,
        why=EARLY,
    ),
]

# RFC 9112 §5, RFC 9110 §5: fields.
FIELDS = [
    Case("a head of 2 MiB", head(*[b"X: " + b"a" * 65536] * 32), (431,), hypercorn=LOST, why=EARLY),
    Case("1001 headers", head(*[b"X: a"] * 1000), (431,)),
    Case("1000 headers", head(*[b"X: a"] * 999), OK, "open"),
    Case("a value of 64 KiB", head(b"X: " + b"a" * 65536), OK, "open"),
    Case("a value of 900 KiB", head(b"X: " + b"a" * 900 * 1024), OK, "open"),
    Case("a space before the colon", head(b"X : a"), BAD),
    Case("a tab before the colon", head(b"X\t: a"), BAD),
    Case("a first field that is folded", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    Case("a fold with a space", head(b"X: a", b" b"), BAD, hypercorn=FOLDED, why=UNFOLDED),
    Case("a fold with a tab", head(b"X: a", b"\tb"), BAD, hypercorn=FOLDED, why=UNFOLDED),
    Case("a fold of nothing", head(b"X: a", b" "), BAD, hypercorn=FOLDED, why=UNFOLDED),
    Case("an empty name", head(b": a"), BAD),
    Case("no colon", head(b"X"), BAD),
    Case("a zero byte in a value", head(b"X: a\0b"), BAD),
    Case("byte 1 in a value", head(b"X: a\x01b"), BAD),
    Case("a form feed in a value", head(b"X: a\x0cb"), BAD),
    Case("DEL in a value", head(b"X: a\x7fb"), BAD),
    Case("latin-1 in a value", head(b"X: a\xe4b"), OK, "open"),
    Case("an empty value", head(b"X:"), OK, "open"),
    Case("a name with a bracket", head(b"X(: a"), BAD),
    Case("a name with a space", head(b"X Y: a"), BAD),
    Case("a name with byte 228", head(b"X\xe4: a"), BAD),
    Case("a name with a zero byte", head(b"X\0: a"), BAD),
    Case("a bare CR in a value", head(b"X: a\rY: b"), BAD),
    Case(
        "a bare LF in a value",
        head(b"X: a\nY: b"),
        BAD,
        hypercorn=((200,), "open"),
        why="as a line end: RFC 9112 §2.2",
    ),
    Case("CR CR LF", head(b"X: a\r"), BAD),
    Case("no host", b"GET / HTTP/1.1\r\n\r\n", BAD),
    Case("two hosts", head(b"Host: b"), BAD),
    Case("two equal hosts", head(b"Host: a"), BAD),
    Case("a host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
    Case("a host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
    Case("a host with a user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD),
    Case("an empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", OK, "open"),
    Case("version 1.0 without a host", b"GET / HTTP/1.0\r\n\r\n", OK),
    Case("an unknown expectation", post(b"Expect: miracles", b"Content-Length: 0"), (417,)),
]

# RFC 9112 §6: where a body ends.
FRAMING = [
    Case(
        "length and coding",
        post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
        BAD,
        hypercorn=LOST,
        why=EARLY,
    ),
    Case(
        "coding and length",
        post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
        BAD,
        hypercorn=LOST,
        why=EARLY,
    ),
    Case(
        "two equal lengths",
        post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
        BAD,
        hypercorn=((200,), "open"),
        why="RFC 9110 §8.6 lets equal lengths count as one",
    ),
    Case(
        "two lengths",
        post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello" + SMUGGLED),
        BAD,
    ),
    Case(
        "a list of equal lengths",
        post(b"Content-Length: 5, 5", body=b"hello"),
        BAD,
        hypercorn=((200,), "open"),
        why="RFC 9110 §8.6 lets equal lengths count as one",
    ),
    Case("a list of lengths", post(b"Content-Length: 5, 0", body=b"hello"), BAD),
    Case("length +5", post(b"Content-Length: +5", body=b"hello"), BAD),
    Case("length -5", post(b"Content-Length: -5", body=b"hello"), BAD),
    Case("length 0x5", post(b"Content-Length: 0x5", body=b"hello"), BAD),
    Case("length 5a", post(b"Content-Length: 5a", body=b"hello"), BAD),
    Case("length 1_0", post(b"Content-Length: 1_0", body=b"hellohello"), BAD),
    Case("length 5e0", post(b"Content-Length: 5e0", body=b"hello"), BAD),
    Case("length 5.0", post(b"Content-Length: 5.0", body=b"hello"), BAD),
    Case("length in other digits", post("Content-Length: ٥".encode(), body=b"hello"), BAD),
    Case("length 1 2", post(b"Content-Length: 1 2", body=b"hello"), BAD),
    Case("an empty length", post(b"Content-Length:", body=b"hello"), BAD),
    Case("a length of 20 digits", post(b"Content-Length: 99999999999999999999"), BAD),
    Case("a length over the limit", post(b"Content-Length: 67108865"), (413,)),
    Case("length 0005", post(b"Content-Length: 0005", body=b"hello"), OK, "open"),
    Case("a length that promises more", post(b"Content-Length: 9", body=b"hello"), BAD, eof=True),
    Case("a body with GET", head(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED, OK, "open"),
    Case(
        "coding xchunked",
        post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "coding gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), (501,)
    ),
    Case(
        "coding chunked, gzip",
        post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "coding identity",
        post(b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "an empty coding",
        post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "chunked twice",
        post(
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: chunked",
            body=b"0\r\n\r\n" + SMUGGLED,
        ),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "chunked, chunked",
        post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + SMUGGLED),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "chunked and rubbish",
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=b"0\r\n\r\n" + SMUGGLED),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "a vertical tab before chunked",
        post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
        BAD,
    ),
    Case(
        "chunked in quotes",
        post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "chunked with a parameter",
        post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"),
        BAD,
        hypercorn=UNKNOWN_CODING,
        why=SHOULD_501,
    ),
    Case(
        "a space after transfer-encoding",
        post(b"Content-Length: 5", b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED),
        BAD,
    ),
    Case(
        "a fold before chunked",
        post(
            b"Content-Length: 5", b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n" + SMUGGLED
        ),
        BAD,
        hypercorn=LOST,
        why=EARLY,
    ),
    Case(
        "a coding after a bare LF",
        post(
            b"X: a\nTransfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED
        ),
        BAD,
        hypercorn=LOST,
        why=EARLY,
    ),
    Case(
        "a coding after a bare CR",
        post(
            b"X: a\rTransfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED
        ),
        BAD,
    ),
    Case(
        "a coding with a zero byte",
        post(b"Transfer-Encoding\0: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
        BAD,
    ),
    Case(
        "a coding with an underscore",
        post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
        OK,
        "open",
    ),
    Case("coding cHuNkEd", post(b"Transfer-Encoding: cHuNkEd", body=b"0\r\n\r\n"), OK, "open"),
    Case(
        "chunked with version 1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        BAD,
    ),
    Case(
        "a length with version 1.0",
        b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        OK,
    ),
    Case(
        "a request after connection: close",
        head(b"Connection: close") + SMUGGLED,
        OK,
        hypercorn=(BAD, "lost"),
        why="h11 answers what follows, and not what was asked",
    ),
    Case("a good and a bad request", head() + b"GET / HTTP/1.1\r\n\r\n", (200, 400)),
]

# RFC 9112 §7.1: chunks.
CHUNKS = [
    Case("size g", chunked(b"g\r\n"), BAD),
    Case("size -1", chunked(b"-1\r\nhello\r\n0\r\n\r\n"), BAD),
    Case("size +5", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), BAD),
    Case("size 0x5", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), BAD),
    Case("size 1_0", chunked(b"1_0\r\nhellohellohello!\r\n0\r\n\r\n"), BAD),
    Case("a space before the size", chunked(b" 5\r\nhello\r\n0\r\n\r\n"), BAD),
    Case(
        "a space after the size",
        chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
        BAD,
        hypercorn=((200,), "open"),
        why="h11 takes white space there, which can't move the end of a chunk",
    ),
    Case("no size", chunked(b"\r\nhello\r\n0\r\n\r\n"), BAD),
    Case("a size line that ends in LF", chunked(b"5\nhello\r\n0\r\n\r\n"), BAD),
    Case("a size line that ends in CR", chunked(b"5\rhello\r\n0\r\n\r\n"), BAD),
    Case(
        "a size of 20 digits",
        chunked(b"fffffffffffffffffff0\r\nhello"),
        BAD,
        hypercorn=((), "waits"),
        why="Python's numbers have no end; the limit of the body cuts it",
    ),
    Case("a chunk over its size", chunked(b"5\r\nhello!\r\n0\r\n\r\n"), BAD),
    Case("a chunk that ends in LF", chunked(b"5\r\nhello\n0\r\n\r\n"), BAD),
    Case("a chunk that ends in CR", chunked(b"5\r\nhello\r0\r\n\r\n"), BAD),
    Case("an extension", chunked(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), OK, "open"),
    Case("an extension with a bare LF", chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), BAD),
    Case(
        "an extension with a bare CR",
        chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        BAD,
        hypercorn=((200,), "open"),
        why=IGNORED,
    ),
    Case(
        "an extension with a zero byte",
        chunked(b"5;a\0\r\nhello\r\n0\r\n\r\n"),
        BAD,
        hypercorn=((200,), "open"),
        why=IGNORED,
    ),
    Case(
        "an extension of 64 KiB",
        chunked(b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"),
        BAD,
        hypercorn=((200,), "open"),
        why=IGNORED,
    ),
    Case("trailers", chunked(b"5\r\nhello\r\n0\r\nX: a\r\nY: b\r\n\r\n"), OK, "open"),
    Case("a trailer without a colon", chunked(b"5\r\nhello\r\n0\r\nX\r\n\r\n"), BAD),
    Case(
        "a folded trailer", chunked(b"0\r\nX: a\r\n b\r\n\r\n"), BAD, hypercorn=FOLDED, why=UNFOLDED
    ),
    Case(
        "a trailer with a bare LF",
        chunked(b"0\r\nX: a\n\r\n\r\n" + SMUGGLED),
        BAD,
        hypercorn=((200, 400), "closed"),
        why="h11 takes the bare LF for a line end, and so ends the body before",
    ),
    Case("a framing trailer", chunked(b"0\r\nContent-Length: 9\r\n\r\n"), OK, "open"),
    Case(
        "trailers without an end",
        chunked(b"0\r\n" + b"X: a\r\n" * 20_000),
        (431,),
        hypercorn=((), "waits"),
        why="h11 gives trailers as many bytes as heads",
    ),
    Case("a last chunk 000", chunked(b"5\r\nhello\r\n000\r\n\r\n"), OK, "open"),
    Case("chunks without an end", chunked(b"5\r\nhello\r\n"), BAD, eof=True),
    Case(
        "a chunk that is a request",
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        OK,
        "open",
    ),
]

UPGRADE = [
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]

# RFC 9110 §7.8, RFC 6455 §4, RFC 9113 §3: other protocols.
UPGRADES = [
    Case("a websocket that nobody serves", head(*UPGRADE), BAD),
    Case("a websocket with stray bytes", head(*UPGRADE) + b"stray", BAD),
    Case(
        "a websocket with a body",
        head(*UPGRADE, b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        BAD,
    ),
    Case("a websocket without a key", head(*UPGRADE[:3]), BAD),
    Case(
        "a websocket of version 12",
        head(*UPGRADE[:2], b"Sec-WebSocket-Version: 12", UPGRADE[3]),
        BAD,
    ),
    Case(
        "an unknown upgrade with a body",
        post(
            b"Connection: upgrade",
            b"Upgrade: foo",
            b"Content-Length: %d" % len(SMUGGLED),
            body=SMUGGLED,
        ),
        OK,
        "open",
    ),
    Case(
        "a POST to a websocket with a body",
        post(*UPGRADE, b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        OK,
        "open",
    ),
    Case(
        "HTTP/2 by upgrade",
        head(b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        OK,
        "open",
        hypercorn=((101,), "waits"),
        why="hypercorn accepts it",
    ),
    Case("a broken preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", (), "lost"),
    Case(
        "a preface after a request",
        head() + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        (200, 505),
        hypercorn=((200,), "waits"),
        why="hypercorn changes to HTTP/2 at any time",
    ),
]

CASES = LINES + FIELDS + FRAMING + CHUNKS + UPGRADES
