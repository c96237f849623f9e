"""Processes: slots given, computed, read and resumed (the table of the issue about processes)."""

from __future__ import annotations

from collections.abc import Mapping

from bench import process_replay, process_served, scheduling
from bench.timing import Result, summary


def run(quick: bool) -> list[Result]:
    """process.*; aos comes from outside where it is at hand, the notes say which program ran."""
    return [
        *_scheduling(scheduling.measure(quick)),
        *process_replay.run(quick),
        *process_served.run(quick),
    ]


def _scheduling(measured: Mapping[str, float]) -> list[Result]:
    ratio = "slots a second against signatures a second of all cores; 16 connections, durable"
    return [
        summary(name, [value], "" if name.endswith("_ratio") else "/s", note=note)
        for name, value in measured.items()
        for note in [ratio if name.endswith("_ratio") else ""]
    ]
