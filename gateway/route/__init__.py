"""What a request asks for: method and path to service, action, resource and context."""
