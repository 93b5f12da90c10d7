"""OTLP traces decoded column by column, by packages that are there as wheels or not at all.

Imported when the first group of some size is decoded, since Arrow takes a while and memory.
"""
