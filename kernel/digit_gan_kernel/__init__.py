"""The Rust kernel of the digit-gan notebooks: a Jupyter kernel in front of evcxr_jupyter.

evcxr compiles and runs the cells, unchanged. This package adds what it lacks, in any Rust notebook:

    kernel     speaks to the client: live displays, Stop that keeps the variables, failures that fail
    evcxr      the process behind: starts it, speaks to it, ends it with all its children
    listener   what that process sends: streams, marked messages, results
    failures   what went wrong in a cell, as an `error` message
    marks      how a cell's code tells the end of a cell, a failed `?` and a panic
    complete   whether a cell is finished, for consoles that ask
    parameters papermill's parameters in Rust

In a digit-gan clone it also decides where evcxr compiles. Stock evcxr builds every dependency anew in a temporary
directory, with debug assertions, with whatever versions the registry offers that day, and needs the network to do so.
Here every kernel gets a private cargo workspace inside the clone (`workspace`) that holds the compiled dependencies,
the release settings and the clone's lock file; `warm` compiles them ahead.
"""

__version__ = "0.2.0"
