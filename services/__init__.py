"""The reference retail back end: seven small services that stand behind the gateway and trust only its context."""
