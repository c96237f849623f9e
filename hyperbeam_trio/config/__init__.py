"""What an operator can set, and reading it from files, environment and flags (spec/07 §2)."""

from hyperbeam_trio.config.node import OPTIONS, NodeConfig, OptionRow, options_table

__all__ = ["OPTIONS", "NodeConfig", "OptionRow", "options_table"]
