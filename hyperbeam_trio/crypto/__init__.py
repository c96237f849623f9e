"""Keys, signatures, and the formats that are signed, over plain bytes."""
