"""Breaks the processes of a running meshmeter while spans are sent, and counts what is stored."""
