"""The blog listing, mended only where it cannot run: the baseline of every ratio in ``results/benchmarks``.

The operations are the listing's, slow ones included: one batch of all N images through convolutions in PyTorch's
default layout, ``diag`` of ``diag`` for the zero diagonal, a tensor of zeros in the norm, Adam with its defaults, a
Python loop over the columns in ``thrC``, ``svds``, and scikit-learn's spectral clustering with ARPACK. What had to be
mended: brackets, products and update steps that are missing from the text, the ``else`` of ``thrC``, and the number of
samples, which is not always 2500 here. Nothing in the package imports this module.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.linalg import svds
from sklearn.cluster import SpectralClustering
from sklearn.preprocessing import normalize
from torch import nn

SIDE = 42  # pixels of an image's edge
RECONSTRUCTION = (0.2, 0.8)
SELF_EXPRESSION = (0.2, 0.8)
REGULARIZATION = 0.1
squared_error = nn.MSELoss(reduction="sum")


class ListingNetwork(nn.Module):
    """Two linear convolutional autoencoders of 1 x 42 x 42 images and one matrix of coefficients."""

    def __init__(self, n_samples: int):
        super().__init__()
        self.encoder1, self.decoder1 = autoencoder()
        self.encoder2, self.decoder2 = autoencoder()
        self.weight = nn.Parameter(1e-4 * torch.ones(n_samples, n_samples))

    def forward(self, X1, X2):
        return self.decoder1(self.encoder1(X1)), self.decoder2(self.encoder2(X2))

    def self_express(self, X1, X2):
        N = len(self.weight)
        coef = self.weight - torch.diag(torch.diag(self.weight))
        Z1, Z2 = self.encoder1(X1).view(N, -1), self.encoder2(X2).view(N, -1)  # (N, 3000)
        Z1_hat, Z2_hat = torch.matmul(coef, Z1), torch.matmul(coef, Z2)
        X1_hat = self.decoder1(Z1_hat.view(N, 30, 10, 10))
        X2_hat = self.decoder2(Z2_hat.view(N, 30, 10, 10))
        return Z1, Z2, X1_hat, X2_hat, Z1_hat, Z2_hat, coef


def autoencoder() -> tuple[nn.Sequential, nn.Sequential]:
    """Return one modality's encoder and decoder."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 10, kernel_size=4, stride=2, padding=1),  # (N, 10, 21, 21)
        nn.Conv2d(10, 20, kernel_size=3, stride=1, padding=1),  # (N, 20, 21, 21)
        nn.Conv2d(20, 30, kernel_size=4, stride=2, padding=1),  # (N, 30, 10, 10)
    )
    decoder = nn.Sequential(
        nn.ConvTranspose2d(30, 20, kernel_size=4, stride=2, padding=1),  # (N, 20, 20, 20)
        nn.ConvTranspose2d(20, 10, kernel_size=3, stride=1, padding=1),  # (N, 10, 20, 20)
        nn.ConvTranspose2d(10, 1, kernel_size=4, stride=2, padding=0),  # (N, 1, 42, 42)
    )
    return encoder, decoder


def optimizer_of(network: ListingNetwork) -> torch.optim.Adam:
    """Return the optimizer that both of the listing's steps make anew."""
    return torch.optim.Adam(network.parameters(), lr=0.001, weight_decay=0.0)


def pretrain_epoch(network: ListingNetwork, X1, X2, optimizer) -> torch.Tensor:
    """Take one full-batch step of the listing's first loop and return its loss."""
    X1_hat, X2_hat = network(X1, X2)
    loss = RECONSTRUCTION[0] * squared_error(X1_hat, X1) + RECONSTRUCTION[1] * squared_error(X2_hat, X2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def finetune_epoch(network: ListingNetwork, X1, X2, optimizer, n_clusters: int = 5) -> torch.Tensor:
    """Take one step of the listing's second loop and return its loss."""
    N = len(network.weight)
    reg2 = 10 ** (n_clusters / 10.0 - 3.0)
    Z1, Z2, X1_hat, X2_hat, Z1_hat, Z2_hat, coef = network.self_express(X1, X2)
    loss_coef = squared_error(coef, torch.zeros(N, N, requires_grad=True))
    loss_self = SELF_EXPRESSION[1] * squared_error(Z2_hat, Z2) + SELF_EXPRESSION[0] * squared_error(Z1_hat, Z1)
    loss_images = RECONSTRUCTION[0] * squared_error(X1_hat, X1) + RECONSTRUCTION[1] * squared_error(X2_hat, X2)
    loss = loss_images + REGULARIZATION * loss_coef + 50 * reg2 * loss_self
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def thrC(C: np.ndarray, ro: float) -> np.ndarray:
    """Keep the largest entries of each column until their sum exceeds ``ro`` of its l1 norm, column by column."""
    if ro >= 1:
        return C
    N = C.shape[1]
    Cp = np.zeros((N, N))
    S = np.abs(np.sort(-np.abs(C), axis=0))
    order = np.argsort(-np.abs(C), axis=0)
    for i in range(N):
        norm = float(np.sum(S[:, i]))
        stop, csum, t = False, 0, 0
        while not stop:
            csum = csum + S[t, i]
            if csum > ro * norm:
                stop = True
                Cp[order[0 : t + 1, i], i] = C[order[0 : t + 1, i], i]
            t = t + 1
    return Cp


def subspace_affinity(C: np.ndarray, K: int, d: int = 6, alpha: float = 8.0) -> np.ndarray:
    """Return the affinity of the listing's ``post_proC``."""
    C = 0.5 * (C + C.T)
    U, S, _ = svds(C, d * K + 1, v0=np.ones(len(C)))
    U = U[:, ::-1] @ np.diag(np.sqrt(S[::-1]))
    U = normalize(U, norm="l2", axis=1)
    Z = U @ U.T
    Z = Z * (Z > 0)
    L = np.abs(Z**alpha)
    L = L / L.max()
    return 0.5 * (L + L.T)


def post_proC(C: np.ndarray, K: int, d: int = 6, alpha: float = 8.0, seed: int | None = None) -> np.ndarray:
    """Return the labels of the listing's ``post_proC``."""
    L = subspace_affinity(C, K, d, alpha)
    clustering = SpectralClustering(
        n_clusters=K, eigen_solver="arpack", affinity="precomputed", assign_labels="discretize", random_state=seed
    )
    return clustering.fit_predict(L)
