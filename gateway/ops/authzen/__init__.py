"""The decision API: OpenID AuthZEN Authorization API 1.0 on the operations port (DESIGN section 7).

In the order of a request: `desk` admits and answers, `message` reads the body, `asking` makes Cedar's questions of it
with what `sheets` holds, `evaluation` and `search` ask them, `record` writes down what was answered.
"""
