"""Makes `jupyter nbconvert --execute` fail where a Rust cell fails.

evcxr reports success for a cell that panics, whose assertion fails or whose `?` returns: all that is left of it is
text on stderr. So any stderr output of a Rust cell counts as a failure here; the notebooks' own notices go to stdout.
"""

from digit_gan_kernel.failures import check

c = get_config()  # noqa: F821, put there by traitlets
c.ExecutePreprocessor.on_cell_executed = check
