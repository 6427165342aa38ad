"""What happened: the event, its durable way to the store, and its integrity. Knows nothing of policies or roles."""
