"""`python -m hyperbeam_trio`."""

from hyperbeam_trio.cli import main

main()
