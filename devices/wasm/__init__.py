"""The WebAssembly engine below `wasm-64@1.0` (spec/06 §1, §7): it knows no messages and no devices.

`Engine.compile(image)` gives an `Image`, `Instance(image, bind, limits)` a live guest.
"""
