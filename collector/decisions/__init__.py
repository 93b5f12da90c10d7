"""What was decided, and why: kept, looked up, explained."""
