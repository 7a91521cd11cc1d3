"""Where the pairs of each epoch come from: start designs, and a Gaussian process fitted to the offline data."""

from __future__ import annotations

import torch
from torch import Tensor

from ggfm.data import OfflineData
from ggfm.gaussian_process import GaussianProcess
from ggfm.pair_sampling import sample_pairs
from ggfm.pairs import Pairs
from ggfm.pool import Pool
from ggfm.settings import Settings
from ggfm.switches import Switches

__all__ = ["PairSource"]


class PairSource:
    """Samples pairs from the offline data, epoch after epoch: by one process for the run, or by one for each epoch.

    Raises ValueError for data that does not fit the settings.
    """

    def __init__(self, settings: Settings, data: OfflineData, switches: Switches) -> None:
        self._settings, self._data, self._switches = settings, data, switches
        self._pool = Pool(data.x, data.y, settings["GP.type_of_initial_points"], settings["GP.num_points"], switches)
        self._process = self._fitted(data.x, data.y) if settings.num_fit_samples is None else None

    def pool(self) -> Tensor:
        """(P, D): an epoch's start designs; see `Pool.epoch`."""
        return self._pool.epoch()

    def epoch(self, epoch: int) -> tuple[Tensor, list[Pairs]]:
        """An epoch's start designs and pairs. Draws the designs to fit a new process on, if there is one, then the
        pool, then from `epoch` as seed. Raises RuntimeError for a pool with fewer designs than num_points."""
        settings, data = self._settings, self._data
        gp = self._process
        if gp is not None:
            # Reading a lengthscale back and setting it again, as pair sampling does, moves its last bits.
            gp.set_hyper(settings["GP.initial_lengthscale"], settings["GP.initial_outputscale"])
        else:
            rows = torch.randperm(len(data.x))[: settings.num_fit_samples]
            gp = self._fitted(data.x[rows], data.y[rows])
        pool = self.pool()
        return pool, sample_pairs(pool, gp, settings.pair_sampling, seed=epoch, switches=self._switches)

    def _fitted(self, x: Tensor, y: Tensor) -> GaussianProcess:
        lengthscale, variance = self._settings["GP.initial_lengthscale"], self._settings["GP.initial_outputscale"]
        return GaussianProcess(x, y, lengthscale=lengthscale, variance=variance, noise=self._settings["GP.noise"])
