"""Least-squares fit of two-dimensional Gabor functions to many small images at once.

A Gabor function is a wave under a Gaussian envelope. It describes the receptive fields of simple cells of the visual
cortex (Jones & Palmer 1987, "An evaluation of the two-dimensional Gabor filter model"; Ringach 2002), and is what this
project means by an edge detector: an oriented, local, band-limited pattern.

Six parameters are found by damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963): the centre (two), the angle, the
frequency, and the two widths of the envelope, which is aligned with the wave. The two amplitudes (of the cosine and of
the sine wave, which together give amplitude and phase) are linear and are solved for exactly in each step (Golub &
Pereyra 1973). The fit of each image starts from several peaks of its spectrum, and all images and all starts take each
step together. What fit is good enough for an edge is decided in `model.edges.scores`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_STARTS = 3
_TRIAL_STEPS = 8  # steps for every start; then only the best start of each image continues
_STEPS = 24
_SMALLEST_GAIN = 1e-5  # a step that lowers the residual by a smaller share of the image's energy is the last
_WIDEST = 4.0  # largest width of the envelope, in sides of the image: a wider one is flat
_NARROWEST = 0.35  # smallest width of the envelope, in pixels


@dataclass(frozen=True)
class GaborFit:
    """The best Gabor function found for each of n images.

    Attributes
    ----------
    r2 : ndarray of shape (n,), 0 to 1
        Share of the image's sum of squares that the Gabor function explains. No offset is fitted or subtracted.
    x, y : ndarray of shape (n,)
        Centre, in pixels from the centre of the image's first pixel; y downwards.
    angle : ndarray of shape (n,), 0 to pi
        Direction in which the wave advances, in radians, from x towards y.
    frequency : ndarray of shape (n,)
        Cycles per pixel.
    width, length : ndarray of shape (n,)
        Standard deviations of the envelope along the wave and across it, in pixels.
    """

    r2: np.ndarray
    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    frequency: np.ndarray
    width: np.ndarray
    length: np.ndarray


def fit_gabors(images: np.ndarray) -> GaborFit:
    """Fit a Gabor function to each image.

    Parameters
    ----------
    images : ndarray of shape (n, height, width), float
        Finite values. An image of zeros gets an r2 of 0.

    Returns
    -------
    GaborFit
    """
    n, height, width = images.shape
    energy = np.einsum("nhw,nhw->n", images, images, dtype=np.float64)
    scale = np.sqrt(np.where(energy > 0, energy, 1))
    targets = (images / scale[:, None, None]).astype(np.float32)  # sum of squares 1: residuals are shares
    params = _starting_points(targets).reshape(n * N_STARTS, 6)
    flat = targets.reshape(n, -1)
    params, residual = _descend(np.repeat(flat, N_STARTS, axis=0), params, (height, width), _TRIAL_STEPS)
    best = np.argmin(residual.reshape(n, N_STARTS), axis=1)
    params = params.reshape(n, N_STARTS, 6)[np.arange(n), best]
    params, residual = _descend(flat, params, (height, width), _STEPS)
    x, y, angle, log_frequency, log_width, log_length = params.astype(np.float64).T
    return GaborFit(
        np.where(energy > 0, np.clip(1 - residual, 0, 1), 0),
        x,
        y,
        np.mod(angle, np.pi),
        np.exp(log_frequency),
        np.exp(log_width),
        np.exp(log_length),
    )


def _starting_points(targets: np.ndarray) -> np.ndarray:
    """Return starting parameters (n, N_STARTS, 6): waves from peaks of the spectrum, envelopes from moments."""
    n, height, width = targets.shape
    padded = 2 * max(height, width)
    spectrum = np.abs(np.fft.rfft2(targets, s=(padded, padded))) ** 2  # (n, padded, padded // 2 + 1)
    fy, fx = np.fft.fftfreq(padded)[:, None], np.fft.rfftfreq(padded)[None, :]
    radius = np.hypot(fx, fy)
    spectrum[:, radius < 0.4 / max(height, width)] = 0  # less than half a cycle has no clear direction

    share = targets.astype(np.float64) ** 2
    share /= np.maximum(share.sum(axis=(1, 2), keepdims=True), 1e-30)
    ys, xs = np.arange(height)[:, None], np.arange(width)[None, :]
    x, y = (share * xs).sum(axis=(1, 2)), (share * ys).sum(axis=(1, 2))
    variance = (share * ((xs - x[:, None, None]) ** 2 + (ys - y[:, None, None]) ** 2)).sum(axis=(1, 2))

    starts = np.empty((n, N_STARTS, 6), np.float32)
    for k in range(N_STARTS):
        row, column = np.divmod(spectrum.reshape(n, -1).argmax(axis=1), spectrum.shape[2])
        peak_x, peak_y = fx[0, column], fy[row, 0]
        frequency = np.maximum(np.hypot(peak_x, peak_y), 0.5 / padded)
        log_width = np.log(np.maximum(np.sqrt(variance), 0.7))
        starts[:, k] = np.stack([x, y, np.arctan2(peak_y, peak_x), np.log(frequency), log_width, log_width], axis=1)
        distance = np.hypot(fx - peak_x[:, None, None], fy - peak_y[:, None, None])
        spectrum[distance < 1.2 / max(height, width)] = 0  # the next start is another peak, not the flank of this one
    return starts


def _evaluate(
    targets: np.ndarray, params: np.ndarray, grid: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return the residuals (n, pixels) with the best amplitudes, and the arrays that `_jacobian` needs."""
    x, y, angle, log_frequency, log_width, log_length = (column[:, None] for column in params.T)
    dx, dy = grid[0] - x, grid[1] - y  # (n, pixels)
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    u, v = along * np.exp(-log_width), across * np.exp(-log_length)
    envelope = np.exp(-0.5 * (u * u + v * v))
    phase = (2 * np.pi * np.exp(log_frequency)) * along
    even, odd = envelope * np.cos(phase), envelope * np.sin(phase)

    ee, oo = np.einsum("np,np->n", even, even), np.einsum("np,np->n", odd, odd)
    eo = np.einsum("np,np->n", even, odd)
    et, ot = np.einsum("np,np->n", even, targets), np.einsum("np,np->n", odd, targets)
    ridge = 1e-6 * (ee + oo) + 1e-12  # a wave of frequency 0 has no sine
    ee, oo = ee + ridge, oo + ridge
    determinant = ee * oo - eo * eo
    amplitudes = np.stack([oo * et - eo * ot, ee * ot - eo * et], axis=1) / determinant[:, None]
    wave = amplitudes[:, :1] * even + amplitudes[:, 1:] * odd
    quarter = amplitudes[:, 1:] * even - amplitudes[:, :1] * odd  # the derivative by the phase
    return targets - wave, (wave, quarter, even, odd, along, across, u, v)


def _jacobian(params: np.ndarray, parts: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the derivatives (n, 8, pixels) of the Gabor function: the six parameters, then the two amplitudes."""
    wave, quarter, even, odd, along, across, u, v = parts
    angle, log_frequency, log_width, log_length = (column[:, None] for column in params.T[2:])
    cos, sin = np.cos(angle), np.sin(angle)
    inverse_width, inverse_length = np.exp(-log_width), np.exp(-log_length)
    k = 2 * np.pi * np.exp(log_frequency)
    by_along = quarter * k - wave * (u * inverse_width)
    by_across = -wave * (v * inverse_length)
    J = np.empty((len(params), 8, wave.shape[1]), wave.dtype)
    J[:, 0] = sin * by_across - cos * by_along
    J[:, 1] = -sin * by_along - cos * by_across
    J[:, 2] = by_along * across - by_across * along
    J[:, 3] = quarter * k * along
    J[:, 4] = wave * u * u
    J[:, 5] = wave * v * v
    J[:, 6], J[:, 7] = even, odd
    return J


def _bounded(params: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Keep the centre at most half an image outside, the frequency below Nyquist's, the widths within their limits."""
    height, width = shape
    longer = max(height, width)
    low = (-width / 2, -height / 2, -np.inf, np.log(0.05 / longer), np.log(_NARROWEST), np.log(_NARROWEST))
    high = (1.5 * width, 1.5 * height, np.inf, np.log(0.71), np.log(_WIDEST * longer), np.log(_WIDEST * longer))
    return np.clip(params, np.array(low, np.float32), np.array(high, np.float32))


def _descend(
    targets: np.ndarray, params: np.ndarray, shape: tuple[int, int], n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Take up to n_steps damped Gauss-Newton steps; return the parameters and the residual sums of squares."""
    ys, xs = np.mgrid[: shape[0], : shape[1]].reshape(2, 1, -1).astype(np.float32)
    params = _bounded(params, shape)
    residuals, parts = _evaluate(targets, params, (xs, ys))
    cost = np.einsum("np,np->n", residuals, residuals)
    final_params, final_cost = params.copy(), cost.copy()
    index, damping = np.arange(len(params)), np.full(len(params), 1e-2, np.float32)
    for _ in range(n_steps):
        J = _jacobian(params, parts)
        normal = (J @ J.transpose(0, 2, 1)).astype(np.float64)
        gradient = (J @ residuals[:, :, None]).astype(np.float64)
        diagonal = np.einsum("nii->ni", normal)
        diagonal += damping[:, None] * diagonal + 1e-9
        step = np.linalg.solve(normal, gradient)[:, :6, 0].astype(np.float32)
        tried = _bounded(params + np.clip(step, -_longest(shape), _longest(shape)), shape)
        tried_residuals, tried_parts = _evaluate(targets, tried, (xs, ys))
        tried_cost = np.einsum("np,np->n", tried_residuals, tried_residuals)
        better = tried_cost < cost
        damping = np.where(better, np.maximum(damping / 5, 1e-6), damping * 8)
        going = np.where(better, cost - tried_cost > _SMALLEST_GAIN, damping < 1e3)
        final_params[index[better]], final_cost[index[better]] = tried[better], tried_cost[better]
        if not going.any():
            break
        kept = better[:, None]
        params = np.where(kept, tried, params)[going]
        residuals = np.where(kept, tried_residuals, residuals)[going]
        parts = tuple(np.where(kept, new, old)[going] for new, old in zip(tried_parts, parts, strict=True))
        cost, damping = np.where(better, tried_cost, cost)[going], damping[going]
        index, targets = index[going], targets[going]
    return final_params, final_cost


def _longest(shape: tuple[int, int]) -> np.ndarray:
    """Return the longest step allowed in each parameter: the linearisation is only valid nearby."""
    quarter = max(shape) / 4
    return np.array((quarter, quarter, 0.5, 0.5, 0.7, 0.7), np.float32)
