"""What happened, and the door for both questions."""
