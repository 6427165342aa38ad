"""Seals: what makes a change to the store's past visible.

A closed partition's rows become leaves of a Merkle tree; its root stands in a signed record that carries the hash of
the record before it. Late rows, purges and dropped partitions are records of the same chain.

    rows > leaf > tree > record > chain          (audit.keeper.seal makes them)
    chain > manifest > walk > findings           (`lychgate audit verify` checks them)
"""
