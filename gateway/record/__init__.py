"""What is written down of a request."""
