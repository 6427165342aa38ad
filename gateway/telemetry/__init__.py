"""Spans of requests, from what workers tell to an OpenTelemetry collector. In the supervisor, and only if configured.

spans     what was told as spans, by OpenTelemetry's conventions
exporter  a bounded queue, and a thread that empties it
metrics   what was sent and what was not
"""
