"""The store backends that come with the package, one module each."""
