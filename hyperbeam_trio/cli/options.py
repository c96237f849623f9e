"""`hyperbeam-trio options`: what can be configured."""

from __future__ import annotations

from itertools import groupby

import click

from hyperbeam_trio.config import options_table


@click.command()
def command() -> None:
    """List every option: its name, its default, its environment variable, what it is for."""
    for group, rows in groupby(options_table(), key=lambda row: row.group):
        click.secho(f"\n{group}", bold=True)
        for row in rows:
            click.echo(f"  {row.name} = {row.default}  ({row.kind}, {row.variable})")
            click.echo(f"      {row.doc}")
