"""Codecs and commitments."""
