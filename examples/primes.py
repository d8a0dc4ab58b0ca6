"""Counts primes. A function of plain values is all that a program has to be."""


def count(below, start=2):
    """How many primes are in range(start, below)."""
    sieve = bytearray([1]) * max(below, 2)
    sieve[0:2] = b"\0\0"
    for n in range(2, int(below**0.5) + 1):
        if sieve[n]:
            sieve[n * n::n] = bytes(len(range(n * n, len(sieve), n)))
    return sum(sieve[start:below])
