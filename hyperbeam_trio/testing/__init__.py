"""What authors of stores, devices and codecs test with."""
