"""The keys of an installation: which there are, and the next one of those that sign security contexts.

rotation   one file, written anew
inventory  every kind of key the configuration names
"""
