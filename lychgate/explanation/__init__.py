"""What `lychgate policy explain` reads and prints."""
