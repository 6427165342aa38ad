"""Typed classes of our own events, a module for each service; generated from the registry by `make docs`."""
