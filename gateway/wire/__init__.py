"""Bytes to values: heads, framing and targets, judged by rules of our own. No IO."""
