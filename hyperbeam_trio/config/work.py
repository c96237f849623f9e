"""Options of processes, schedulers, push and cron (spec/05 §12, spec/07 §2.5)."""

from __future__ import annotations

from typing import Literal

from hyperbeam_trio.config.option import (
    Kind,
    Option,
    Options,
    boolean,
    choice,
    integer,
    listing,
    optional,
    size,
    text,
)

_SCHEDULING: Kind[
    Literal["local_confirmation", "remote_confirmation", "aggressive", "disabled"]
] = choice("local_confirmation", "remote_confirmation", "aggressive", "disabled")
_VERIFYING: Kind[Literal["true", "accept_unsigned", "false"]] = choice(
    "true", "accept_unsigned", "false"
)
_RECORDS: Kind[Literal["httpsig@1.0", "ans104@1.0"]] = choice("httpsig@1.0", "ans104@1.0")
_NOW: Kind[Literal["false", "true", "always"]] = choice("false", "true", "always")
_ACCESS: Kind[Literal["operator", "anyone"]] = choice("operator", "anyone")


class ProcessOptions(Options):
    """How processes are computed."""

    __slots__ = ()

    process_workers = Option(boolean, True, "keep a process's guest warm between slots")
    process_workers_max = Option(integer(1), 64, "warm processes at once")
    process_workers_memory = Option(size, "4GiB", "bytes of guests that stay warm, but for one")
    process_worker_max_idle = Option(integer(1), 300_000, "ms that an idle one stays warm")
    process_now_from_cache = Option(
        _NOW, "false", "now answers with the newest state kept: if there is one (true), always"
    )
    process_now_max_age = Option(optional(integer(0)), None, "seconds for which it may do so")
    process_snapshot_slots = Option(optional(integer(1)), None, "a snapshot every so many slots")
    process_snapshot_time = Option(
        optional(integer(1)), 60, "seconds after which there is a new snapshot"
    )
    process_snapshots_kept = Option(
        optional(integer(1)),
        16,
        "newest snapshots that each process keeps, at least; `store gc` frees the room of others",
    )


class SchedulerOptions(Options):
    """How messages get their slots."""

    __slots__ = ()

    scheduling_mode = Option(
        _SCHEDULING,
        "local_confirmation",
        "answer when written (aggressive too: nothing answered is lost), or when also uploaded",
    )
    scheduler_max_queue = Option(integer(1), 1000, "messages that wait for one process's slots")
    verify_assignments = Option(_VERIFYING, "true", "which messages are scheduled: signed, any")
    scheduler_default_commitment_spec = Option(text, "httpsig@1.0", "codec of assignments")
    scheduler_base_hashpath = Option(boolean, False, "put base-hashpath into assignments")
    scheduler_follow_redirects = Option(boolean, True, "go where a remote scheduler sends us")
    scheduler_follow_hints = Option(boolean, True, "believe ?hint= in the ids of processes")
    scheduler_lookahead = Option(boolean, True, "read several assignments at once from a far store")
    scheduler_in_memory_cache = Option(boolean, True, "keep remote assignments in memory")
    scheduler_async_remote_cache = Option(boolean, True, "store them in the background")
    scheduler_ignore_local_cache = Option(boolean, False, "ask the remote scheduler always")
    scheduler_legacy_locations = Option(boolean, True, "find schedulers of legacynet, too")
    scheduler_location_ttl = Option(integer(1), 604_800_000, "ms that our own location holds")
    location_ttl = Option(optional(integer(1)), None, "ms, if other than that")
    location_codec = Option(_RECORDS, "httpsig@1.0", "codec of our location record")
    location_url = Option(optional(text), None, "URL that they name, if not of host and port")
    location_notify = Option(listing(text), [], "nodes that are told of our location")
    location_open_generation = Option(boolean, True, "let anyone ask for a fresh record")


class PushOptions(Options):
    """What happens by itself: results delivered, timers."""

    __slots__ = ()

    push_always_sign = Option(boolean, True, "sign with the own identity if no other fits")
    push_route_downstream = Option(boolean, True, "ask the routes who pushes for a target")
    push_max_depth = Option(integer(1), 1000, "messages that one push may cause in a row")
    push_max_messages = Option(integer(1), 10_000, "messages that one push may send in all")
    push_time_limit = Option(integer(1), 300_000, "ms that one push may take in all")
    cron_access = Option(_ACCESS, "operator", "who may set timers")
    cron_max_tasks = Option(integer(0), 1000, "timers at once")
    cron_min_interval = Option(integer(1), 1000, "least ms between two runs of one")
    cron_time_limit = Option(integer(1), 300_000, "ms that one run may take")
