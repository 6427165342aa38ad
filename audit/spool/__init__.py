"""The events' local disk: append-only segment files, one folder a producer, read by the relay in another process.

A folder holds `lock` (who owns it), `counter` (the numbers taken, memory-mapped, outlives the process),
`<epoch>-<n>.seg` (the records) and `cursor-<sink>.json` (how far a sink has come). An epoch is one opening of the
folder. It ends with an end mark, written by its owner or, when that was killed, by whoever adopts the folder.
"""
