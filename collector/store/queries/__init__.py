"""Questions to the store: one file each, with its SQL, its row and its function."""
