"""The Frechet distance between two Gaussians fitted to features (Heusel 2017, FID).

    |mean_a - mean_b|^2 + tr(C_a) + tr(C_b) - 2 tr((C_a C_b)^(1/2))

With C = R R^T, the last trace is the sum of the singular values of R_a^T R_b: they are the square
roots of the eigenvalues of the symmetric product R_a^T C_b R_a. No general matrix square root is
taken, so that nothing becomes complex and SciPy, whose call has changed, is not needed.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import UserInputError


class Moments:
    """Count, mean and covariance of features, in float64 on the CPU, gathered in parts.

    Parts from several processes are joined by `merge`, to what one pass would have given.

    Args:
        network: Digest of the network that the features are from, so that those of another are
            refused; empty when unknown, which fits any.
    """

    def __init__(self, network: str = ""):
        self.network = network
        self.count = 0
        self._mean: Tensor | None = None
        # Sum of the outer products of the deviations from the mean: subtracting n mean mean^T
        # from a plain sum of products at the end would lose digits.
        self._scatter: Tensor | None = None

    @property
    def width(self) -> int:
        """Features a picture; 0 before the first update."""
        return 0 if self._mean is None else len(self._mean)

    @property
    def mean(self) -> Float[Tensor, " d"]:
        """Mean of the features, float64.

        Raises:
            UserInputError: There are none.
        """
        if self._mean is None:
            raise _too_few("mean", 1, self.count)
        return self._mean

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Unbiased covariance of the features, float64.

        Raises:
            UserInputError: There are fewer than two pictures.
        """
        if self._scatter is None or self.count < 2:
            raise _too_few("covariance", 2, self.count)
        return self._scatter / (self.count - 1)

    def update(self, features: Float[Tensor, "b d"]) -> None:
        """Add the features of some pictures.

        Raises:
            UserInputError: They are of another width, or not all finite.
        """
        if len(features) == 0:
            return
        if not features.isfinite().all():
            raise UserInputError(
                "Adding features to moments: expected finite numbers, found NaN or infinity. "
                "Next: look at the pictures and the network's weights."
            )
        values = features.detach().to("cpu", torch.float64)
        mean = values.mean(0)
        centred = values - mean
        self._join(len(values), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> None:
        """Add all that another one has gathered.

        Raises:
            UserInputError: It is of another network.
        """
        _same_network(self, other, "Merging moments")
        self.network = self.network or other.network
        if other._mean is not None and other._scatter is not None:
            self._join(other.count, other._mean, other._scatter)

    def to_dict(self) -> dict[str, Tensor]:
        """All of it as tensors, for safetensors."""
        mean = torch.zeros(0, dtype=torch.float64) if self._mean is None else self._mean
        scatter = torch.zeros(0, 0, dtype=torch.float64) if self._scatter is None else self._scatter
        return {
            "count": torch.tensor(self.count),
            "mean": mean.clone(),
            "scatter": scatter.clone(),
            "network": torch.tensor(list(self.network.encode()), dtype=torch.uint8),
        }

    @classmethod
    def from_dict(cls, tensors: Mapping[str, Tensor]) -> "Moments":
        """What `to_dict` gave.

        Raises:
            UserInputError: These are no moments.
        """
        try:
            moments = cls(bytes(tensors["network"].tolist()).decode())
            count, mean, scatter = (tensors[name] for name in ("count", "mean", "scatter"))
            fitting = scatter.shape == (len(mean), len(mean))
            if not fitting or mean.dtype != torch.float64 or scatter.dtype != torch.float64:
                raise ValueError(
                    f"a mean of {list(mean.shape)}, a scatter of {list(scatter.shape)}"
                )
            if int(count) > 0:
                moments._join(int(count), mean.clone(), scatter.clone())
        except (KeyError, ValueError, TypeError) as error:
            raise UserInputError(
                f"Reading moments: expected count, mean, scatter and network as they were written, "
                f"found other tensors ({error}). Next: compute them again."
            ) from error
        return moments

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        """Chan, Golub and LeVeque 1979: moments of a union from those of its parts."""
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = count, mean, scatter.clone()
            return
        if len(mean) != self.width:
            raise UserInputError(
                f"Adding features to moments: expected width {self.width}, found {len(mean)}: they "
                f"are of another network. Next: compute all features with one network."
            )
        total = self.count + count
        step = mean - self._mean
        self._scatter += scatter
        self._scatter += torch.outer(step, step * (self.count * count / total))
        self._mean = self._mean + step * (count / total)
        self.count = total


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Frechet distance between the Gaussians of two sets; the FID, in float64.

    Raises:
        UserInputError: The sets are of different networks, or have fewer than two pictures.
    """
    _same_network(a, b, "Computing a Frechet distance")
    if a.width != b.width:
        raise UserInputError(
            f"Computing a Frechet distance: expected features of one network, found widths "
            f"{a.width} and {b.width}. Next: compute both with the same network."
        )
    covariance_a, covariance_b = a.covariance, b.covariance
    root_a = _root(covariance_a, a.count - 1)
    root_b = _root(covariance_b, b.count - 1)
    term = torch.linalg.svdvals(root_a.T @ root_b).sum()
    apart = (a.mean - b.mean).square().sum()
    distance = apart + covariance_a.trace() + covariance_b.trace() - 2 * term
    return max(float(distance), 0.0)  # rounding can take equal sets below zero


def _root(covariance: Tensor, rank: int) -> Tensor:
    """R with R R^T = covariance, which has at most `rank` directions: (d, at most d).

    A Cholesky factor where the matrix is positive definite beyond doubt, else eigenvectors. What
    lies below float64's resolution is rounding of zero, and its square root would be 1e-8 and not
    1e-16 of the largest: it is left out.
    """
    width = len(covariance)
    resolution = width * torch.finfo(torch.float64).eps
    if rank >= width:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        smallest = factor.diagonal().min().square()
        if not failed and smallest > resolution * covariance.diagonal().max():
            return factor
    values, vectors = torch.linalg.eigh(covariance)
    keep = values > resolution * values[-1]
    keep[: max(width - rank, 0)] = False
    return vectors[:, keep] * values[keep].sqrt()


def gaussian_distance(
    mean_a: Float[Tensor, " d"],
    covariance_a: Float[Tensor, "d d"],
    mean_b: Float[Tensor, " d"],
    covariance_b: Float[Tensor, "d d"],
) -> float:
    """Squared Frechet distance between two Gaussians that are given, such as published statistics.

    Covariances are taken as of enough pictures: what is singular is found by its eigenvalues.
    """
    sides = []
    for mean, covariance in ((mean_a, covariance_a), (mean_b, covariance_b)):
        sides.append(Moments.from_dict(_as_moments(mean, covariance)))
    return frechet_distance(*sides)


def _as_moments(mean: Tensor, covariance: Tensor) -> dict[str, Tensor]:
    count = 2 * len(mean) + 2
    return {
        "count": torch.tensor(count),
        "mean": mean.double(),
        "scatter": covariance.double() * (count - 1),
        "network": torch.zeros(0, dtype=torch.uint8),
    }


def _same_network(a: Moments, b: Moments, doing: str) -> None:
    if a.network and b.network and a.network != b.network:
        raise UserInputError(
            f"{doing}: expected features of one network, found {a.network[:12]} and "
            f"{b.network[:12]}. Next: compute both with the same network."
        )


def _too_few(what: str, needed: int, found: int) -> UserInputError:
    return UserInputError(
        f"Computing the {what} of features: expected at least {needed} "
        f"{'picture' if needed == 1 else 'pictures'}, found {found}. Next: add pictures."
    )
