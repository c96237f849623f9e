"""`hyperbeam-trio …`: the command line. Each command is a module of its own, loaded when asked."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from hyperbeam_trio import __version__
from hyperbeam_trio.cli.arguments import checked, shielded
from hyperbeam_trio.errors import HyperbeamError

_NAME = "hyperbeam-trio"
_COMMANDS = {
    "start": "Start a node.",
    "get": "Resolve a HyperPATH, on a node or on a store.",
    "put": "Upload a file to a node or write it to a store, and print its id.",
    "spawn": "Start a process whose program is a file, and print its id.",
    "send": "Send a message to a process, and print what came of it.",
    "devices": "List the devices that are installed.",
    "options": "List the options of a node, with their defaults.",
    "wallet": "Make or look at a key file.",
    "verify": "Check the commitments of a file, a URL or a stored message.",
    "audit": "Replay a process and compare its states with those that are stored.",
    "store": "Look at stores, prove them intact, move them and tidy them.",
}


class _Commands(click.Group):
    """Finds a command `x-y` in the module `x_y` of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_NAME)
def cli() -> None:
    """A node of the AO-Core protocol."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends with a line on stderr and exit status 1."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        cli.main(args=[shielded(checked(argument)) for argument in given], prog_name=_NAME)
    except* HyperbeamError as group:
        for error in _leaves(group):
            click.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
    except* KeyboardInterrupt:
        sys.exit(130)
    except* BrokenPipeError:
        # Whoever reads what is printed, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _leaves(group: BaseExceptionGroup[HyperbeamError]) -> list[HyperbeamError]:
    found: list[HyperbeamError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
