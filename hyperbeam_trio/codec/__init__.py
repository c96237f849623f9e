"""Bytes and text to `Message` and back, one module a format."""
