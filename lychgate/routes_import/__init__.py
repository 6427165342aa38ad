"""A service's OpenAPI document to routes, with what a person has to decide.

    document > operations > naming | personal > propose > written, with merge where there is a routes file already

Nothing here opens anything: what is undecided is written with the action `undecided`, which no schema declares. The
gateway keeps such a route, refuses its requests, and `lychgate config check` names it until somebody has decided.
"""
