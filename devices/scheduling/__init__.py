"""The parts of `scheduler@1.0` (spec/05 §4)."""
