"""Clients and servers that others wrote."""
