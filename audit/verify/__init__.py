"""Does the store still hold what was sealed? Needs the database, the public keys, and nothing else that runs."""
