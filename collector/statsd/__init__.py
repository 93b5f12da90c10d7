"""Statsd: lines of text to samples, and a while's samples to one OTLP request a sender."""
