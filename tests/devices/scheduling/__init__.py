"""Tests of `scheduler@1.0`, `location@1.0` and their parts."""
