"""What gateways of a fleet tell each other through Redis, and what each keeps of it on its own disk."""
