"""Who asks: a bearer token in, an `Identity` out, or the one word that says why not.

    Authorization > bearer_token > read (format) > Keyring (issuer, key) > verify (signature) > claims > Identity

Everything but `keys` is pure and is what a worker imports; `keys` is the supervisor's shell that fetches key sets.
"""
