"""Who is what: the one role catalogue, Cedar entities made from it, and the signed security context."""
