"""The jobs of RQ's program; a worker imports them."""


def square(n, mark):
    return n


def broken(mark):
    raise ValueError(mark)
