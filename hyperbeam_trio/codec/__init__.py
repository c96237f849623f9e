"""Bytes and text to `Message` and back, one module a format.

Importing any codec lets the commitments of all of them be checked.
"""

from hyperbeam_trio.codec import ans104, commit, tx

__all__ = ["ans104", "commit", "tx"]
