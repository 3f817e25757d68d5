"""Prints the literals of tests/rust/metrics.rs: metrics of two sets of pseudo-random points, by scipy and scikit-learn in f64.

    python tests/reference/metrics.py    (needs numpy, scipy and scikit-learn)
"""

import numpy as np
from scipy.linalg import sqrtm
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

DIM = 16


def noise(count: int, salt: float) -> np.ndarray:
    """Values in [0, 1) that every language computes alike, and that look random."""
    x = np.sin(12.9898 * (1 + np.arange(count)) + salt) * 43758.5453
    return x - np.floor(x)


def points(count: int, salt: float, scale: float, shift: float) -> np.ndarray:
    values = (scale * noise(count * DIM, salt) + shift).astype(np.float32)
    return values.astype(np.float64).reshape(count, DIM)


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    means = np.square(x.mean(0) - y.mean(0)).sum()
    return means + np.trace(a + b - 2 * sqrtm(a @ b).real)


def kid(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    size = min(len(x), len(y)) // 10

    def block(first: int) -> float:
        a, b = (z[first * size :][:size] for z in (x, y))
        within = [
            polynomial_kernel(z, degree=3, gamma=1 / DIM, coef0=1)[~np.eye(size, dtype=bool)].mean() for z in (a, b)
        ]
        return sum(within) - 2 * polynomial_kernel(a, b, degree=3, gamma=1 / DIM, coef0=1).mean()

    blocks = [block(first) for first in range(10)]
    return np.mean(blocks), np.std(blocks, ddof=1) / np.sqrt(10)


def radii(x: np.ndarray, k: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]


def main() -> None:
    reference, samples = points(200, 1, 1, 0), points(150, 2, 0.9, 0.3)
    few = samples[:10]  # fewer than features: a singular covariance
    print(f"const FRECHET: f64 = {frechet(samples, reference):.9};")
    print(f"const FRECHET_OF_FEW: f64 = {frechet(few, reference):.9};")
    value, error = kid(samples, reference)
    print(f"const KID: [f64; 2] = [{value:.9}, {error:.9}];")

    apart = pairwise_distances(reference, samples)
    print("const PRDC: Prdc = Prdc {")
    print(f"    precision: {(apart <= radii(reference, 3)[:, None]).any(0).mean():.9},")
    print(f"    recall: {(apart <= radii(samples, 3)[None]).any(1).mean():.9},")
    print(f"    density: {(apart <= radii(reference, 5)[:, None]).sum(0).mean() / 5:.9},")
    print(f"    coverage: {(apart.min(1) <= radii(reference, 5)).mean():.9},\n}};")

    distances, indices = NearestNeighbors(n_neighbors=1).fit(reference).kneighbors(samples)
    held_out = points(300, 3, 1, 0)
    others = NearestNeighbors(n_neighbors=1).fit(reference).kneighbors(held_out)[0]
    print(f"const NEAREST: [usize; 8] = {indices[:8, 0].tolist()};")
    print(f"const DISTANCES: [f64; 4] = {[float(f'{d:.6}') for d in distances[:4, 0]]};")
    near = (distances < np.sort(others, axis=0)[3]).mean()
    print(f"const COPIES: [f64; 3] = [{np.median(distances):.9}, {np.median(others):.9}, {near:.9}];")

    seen = [softmax(4 * noise(count * 10, salt).reshape(count, 10), axis=1) for count, salt in ((150, 4), (200, 5))]
    p, q = (np.bincount(row.argmax(1), minlength=10) for row in seen)
    print(f"const COUNTS: [u32; 10] = {p.tolist()};")
    print(f"const CONFIDENCE: f64 = {seen[0].max(1).mean():.9};")
    print(f"const DIVERGENCE: f64 = {entropy(p, q):.9};")
    print(f"const CLASS_ACCURACY: f64 = {(seen[0].argmax(1) == np.arange(150) % 10).mean():.9};")


main()
