"""Hostile framing, chunks and upgrades (RFC 9112 §6 and §7, RFC 6455, RFC 9113)."""

from __future__ import annotations

from tests.http.hostile_case import (
    BAD,
    EARLY,
    FOLDED,
    IGNORED,
    LOST,
    OK,
    SHOULD_501,
    SMUGGLED,
    UNFOLDED,
    UNKNOWN_CODING,
    Case,
    chunked,
    head,
    post,
)

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
