"""A second set of policies, decided beside the live one and never in effect (ADR 0126).

What it decides on are the records of decisions that the relay has delivered: whatever a request left behind, by
whichever way it went. So a request pays nothing for it. It runs in a process of its own: a candidate that Cedar
cannot take ends that process and nothing else.
"""
