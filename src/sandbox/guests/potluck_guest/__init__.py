"""The Python side of a worker: reads jobs from its host, runs them, answers.

Owns everything that happens inside the worker's process. Its neighbour, the host
(worker.ts and frames.ts), owns the process itself, its limits and its death.

Invariant: nothing here depends on names that a task can replace. Each module has its own
builtins, and binds what it needs of others before the first task runs.

A package, since Python keeps the compiled form of packages and not of scripts: that is
some milliseconds of each worker's start.
"""
