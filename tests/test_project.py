"""What holds for the project as a whole: its README runs, its packages ship, its walls stand."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import hyperbeam_trio
from hyperbeam_trio.config import options_table
from hyperbeam_trio.device import Device

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_program_in_the_readme_runs(tmp_path):
    (program, _) = _blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["b'hello'", "b'b'"]


def test_the_device_in_the_readme_works(tmp_path):
    (_, device) = _blocks("python")
    run = (
        "import trio, hyperbeam_trio\n"
        "async def main():\n"
        "    devices = {'greeter@1.0': GreeterDevice}\n"
        "    async with hyperbeam_trio.open_node(store=['memory:'], devices=devices) as node:\n"
        "        print(await node.resolve('/~greeter@1.0/greet&name=you'))\n"
        "trio.run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", device + run],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "b'hello, you'"


def test_every_package_is_shipped():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    found = set()
    for folder in ("hyperbeam_trio", "stores", "devices"):
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            found.add(".".join(parts if folder == "hyperbeam_trio" else ("hyperbeam_trio", *parts)))
    assert listed == found


def test_the_kernel_imports_no_device_and_no_store():
    for module in (ROOT / "hyperbeam_trio").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            name = getattr(node, "module", None) or ""
            assert not re.match(r"hyperbeam_trio\.(devices|stores)\b", name), module


@pytest.mark.parametrize(
    "point", entry_points(group="hyperbeam_trio.devices"), ids=lambda p: p.name
)
def test_every_device_loads_and_says_what_it_and_its_keys_are_for(point):
    device = point.load()
    assert issubclass(device, Device)
    assert device.name == point.name
    assert (device.__doc__ or "").strip()
    for key, (attribute, _) in device._functions.items():
        assert (getattr(device, attribute).__doc__ or "").strip(), key


def test_every_option_is_documented():
    for row in options_table():
        assert row.doc.strip(), row.name


def test_what_the_package_exports_is_there():
    for name in hyperbeam_trio.__all__:
        assert getattr(hyperbeam_trio, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hyperbeam_trio.nothing
