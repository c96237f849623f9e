"""`python -m bench [SUITE ...] [--quick] [--json FILE]`: what a user would ask, measured."""

from __future__ import annotations

import json
import platform
import sys
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.machine import describe_machine
from bench.timing import Result

DEFAULT = ("wasm", "resolve", "codec", "store", "http", "start")
SUITES = (*DEFAULT, "signed", "process", "stores", "encoding", "engine", "lua")


@click.command()
@click.argument("suites", nargs=-1, type=click.Choice(SUITES))
@click.option("--quick", is_flag=True, help="Shorter rounds; the default suites end within 50 s.")
@click.option("--json", "file", type=click.Path(dir_okay=False), help="Write the results there.")
def main(suites: tuple[str, ...], quick: bool, file: str | None) -> None:
    """Measure, print a table, and optionally write JSON."""
    results: list[Result] = []
    for suite in suites or DEFAULT:
        results += import_module(f"bench.suite_{suite}").run(quick)
    machine = describe_machine()
    _print(machine, results)
    if file is not None:
        report = {"machine": machine, "results": [_plain(result) for result in results]}
        Path(file).write_text(json.dumps(report, indent=2) + "\n")


def _plain(result: Result) -> dict[str, object]:
    return {
        "name": result.name,
        "value": result.value,
        "unit": result.unit,
        "better": result.better,
        "spread": result.spread,
        **({"note": result.note} if result.note else {}),
    }


def _print(machine: dict[str, object], results: list[Result]) -> None:
    title = ", ".join(f"{name} {value}" for name, value in machine.items())
    table = Table(title=f"Python {platform.python_version()} on {title}")
    table.add_column("name")
    table.add_column("median", justify="right")
    table.add_column("unit")
    table.add_column("spread", justify="right")
    table.add_column("note")
    for result in results:
        spread = f"±{50 * result.spread:.0f} %" if result.spread else ""
        table.add_row(result.name, _number(result.value), result.unit, spread, result.note)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


if __name__ == "__main__":
    main()
