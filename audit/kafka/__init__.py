"""The broker, when one is configured: the relay's sink on this side of the topic, the consumer on the other."""
