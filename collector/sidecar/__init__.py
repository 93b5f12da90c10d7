"""Configurations of data planes that report to and ask this collector."""
