"""Makes `jupyter nbconvert --execute` fail where a Rust cell fails.

evcxr reports success for a cell that panics, whose assertion fails or whose `?` returns: all that is left of it is
text on stderr. So any stderr output of a Rust cell counts as a failure here; the notebooks' own notices go to stdout.
"""

from nbconvert.exporters import Exporter

c = get_config()  # noqa: F821, put there by traitlets
c.Exporter.default_preprocessors = [
    "digit_gan_kernel.failures.RustExecutePreprocessor" if name.endswith(".ExecutePreprocessor") else name
    for name in Exporter.default_preprocessors.default()
]
