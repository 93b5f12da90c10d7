"""Which version of meshmeter this is."""

VERSION = "0.1.0"
