import pytest
from rust_kernel import PRELUDE, Kernel


@pytest.fixture(scope="module")
def kernel():
    """One kernel for a whole file of tests, with the prelude loaded."""
    with Kernel() as running:
        running.run(PRELUDE).text()
        yield running
