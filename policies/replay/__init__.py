"""Recorded decisions made again by another set of policies, and what became of them; pure."""
