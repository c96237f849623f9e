"""Open files: every connection is one."""

from __future__ import annotations

import resource


def raise_file_limit() -> int:
    """Raise this process's limit of open files as far as it may; how many that is.

    For programs, at their start; a library has no business with the limits of its process.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
