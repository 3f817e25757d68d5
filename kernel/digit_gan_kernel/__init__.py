"""The Rust kernel of the digit-gan notebooks.

evcxr itself runs the cells; this package decides where it compiles them. Stock evcxr builds every dependency anew
in a temporary directory, with debug assertions, with whatever versions the registry offers that day, and needs the
network to do so. Here every kernel gets a private cargo workspace inside the clone (`workspace`) that holds the
compiled dependencies, the release settings and the clone's lock file.
"""
