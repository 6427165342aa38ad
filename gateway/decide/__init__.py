"""Whether the request may pass: the question put to Cedar, and the answer."""
