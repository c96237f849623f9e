"""A node of the AO-Core protocol on Trio."""

__version__ = "0.1.0"
