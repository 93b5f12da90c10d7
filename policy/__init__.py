"""May it pass? A library: attribute bag in, decision out."""
