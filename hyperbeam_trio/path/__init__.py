"""HyperPATH text ↔ sequences of requests (spec/03 §14)."""

from hyperbeam_trio.path.request import parse, parse_request
from hyperbeam_trio.path.unparse import unparse

__all__ = ["parse", "parse_request", "unparse"]
