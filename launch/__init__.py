"""Running meshmeter's processes together on one machine: what `up` and `demo` share."""
