"""What is wrong with a set of policies that Cedar takes: one module a kind of finding. Pure.

Every finding here is proved: where a proof is not had, nothing is said, so that a build can be held to no finding at
all. What each proves stands at its module; `codes` says what each finding means and what to do about it.
"""
