"""`hyperbeam-trio devices`: what is installed."""

from __future__ import annotations

import click

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.device import DeviceTable


@click.command()
def command() -> None:
    """List the devices that are installed, with what each is for."""
    table = DeviceTable(NodeConfig().default_device)
    width = max(map(len, table.names()))
    for name in table.names():
        about = (type(table.get(name)).__doc__ or "").strip().partition("\n")[0]
        click.echo(f"{name:<{width}}  {about}")
