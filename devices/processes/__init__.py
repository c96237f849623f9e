"""Parts of `process@1.0` and `push@1.0` (spec/05)."""
