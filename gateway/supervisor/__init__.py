"""The parent process: builds sources, keeps workers alive, fetches keys, relays the audit, serves operations."""
