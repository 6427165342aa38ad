"""The request's way: serve > wire > route > identify > decide > record > forward."""
