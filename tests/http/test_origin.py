"""Where URLs lead."""

import pytest

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.origin import Origin, parse_url


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://a.example", Origin("http", "a.example", 80), b"/"),
        ("https://A.Example/x?y=1", Origin("https", "a.example", 443), b"/x?y=1"),
        ("http://a.example:8734/~meta@1.0/info", Origin("http", "a.example", 8734), None),
        ("http://[::1]:80/", Origin("http", "::1", 80), b"/"),
        ("http://a.example/x#part", Origin("http", "a.example", 80), b"/x"),
        ("http://a.example/ä", Origin("http", "a.example", 80), b"/%C3%A4"),
        ("http://a.example/%41\"'|", Origin("http", "a.example", 80), b"/%41\"'|"),
        ("http://müller.example/", Origin("http", "xn--mller-kva.example", 80), b"/"),
        ("http://my_node:1/", Origin("http", "my_node", 1), b"/"),
    ],
)
def test_a_url_names_a_server_and_a_target(url, origin, target):
    found, path = parse_url(url)
    assert found == origin
    assert target is None or path == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a.example/",
        "file:///etc/passwd",
        "//a.example/",
        "a.example",
        "http://",
        "http:///x",
        "http://user:secret@a.example/",
        "http://a.example:99999/",
        "http://a.example:x/",
        "http://a.example/\r\nx: y",
        "http://a b/",
        "http://a.example\\@127.0.0.1/",
        "http://[::1%eth0]/",
        "http://[::1/",
        "http://-/",
        "http://a.example /",
    ],
)
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(BadRequest):
        parse_url(url)


def test_a_login_is_not_repeated_in_the_error():
    with pytest.raises(BadRequest) as refused:
        parse_url("http://user:secret@a.example/")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("http", "a.example", 80), "a.example"),
        (Origin("https", "a.example", 80), "a.example:80"),
        (Origin("http", "::1", 8734), "[::1]:8734"),
    ],
)
def test_the_host_header_names_the_port_unless_it_is_the_usual_one(origin, authority):
    assert origin.authority == authority
