"""The devices that come with the package, one module each."""
