"""Whether a gateway stays as it is under a load that goes on: descriptors and memory, and the line through the samples."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import time
from pathlib import Path

from protocols import NativeApi
from rig import SDK_PYTHON, Bench, Gateway, gateway, until, weight

EVERY_S = 10.0
REST_S = 180.0  # the pool that has grown shrinks a minute after the load
WARM_UP = 0.25  # the share of the samples that are left out of the line
FDS_MAX = 4.0  # growth over the time measured that still is none: descriptors,
RSS_MAX = 0.05  # ... and of the resident set, as a share of it


def without(ys: list[float], by: list[float]) -> tuple[list[float], float]:
    """What of the ys a line through (by, y) does not explain, and its slope."""
    if len(set(by)) < 2:
        return ys, 0.0
    line = statistics.linear_regression(by, ys)
    return [y - line.slope * x for x, y in zip(by, ys, strict=True)], line.slope


def growth(samples: list[dict[str, float]], key: str) -> tuple[float, float]:
    """How much it grew from the first sample to the last, and how far off that may be (two standard errors).

    Of the plane through the samples over time and the number of kernels, which come and go and have their share: the
    slope along time (Frisch, Waugh).
    """
    kernels = [one["kernels"] for one in samples]
    times, _ = without([one["s"] for one in samples], kernels)
    values, _ = without([one[key] for one in samples], kernels)
    if len(samples) < 4 or len(set(times)) < 2:
        return 0.0, math.inf
    line = statistics.linear_regression(times, values)
    mean = statistics.fmean(times)
    off = math.fsum((y - line.slope * x - line.intercept) ** 2 for x, y in zip(times, values, strict=True))
    error = math.sqrt(off / (len(samples) - 3) / math.fsum((x - mean) ** 2 for x in times))
    span = samples[-1]["s"] - samples[0]["s"]
    return line.slope * span, 2 * error * span


def verdict(samples: list[dict[str, float]]) -> dict:
    """{"fds_growth", "rss_growth_mib": (growth, its error), "flat"} over the samples after the warm-up."""
    kept = samples[int(len(samples) * WARM_UP) :]
    fds, rss = growth(kept, "fds"), growth(kept, "rss_mib")
    mean = statistics.fmean(one["rss_mib"] for one in kept)
    return {
        "fds_growth": fds,
        "rss_growth_mib": rss,
        "flat": fds[0] - fds[1] <= FDS_MAX and rss[0] - rss[1] <= RSS_MAX * mean,
    }


def sample(running: Gateway) -> dict[str, float]:
    kernels = running.kernels()
    return {
        "fds": running.fds(),
        "rss_mib": running.rss_kib() / 1024,
        "kernels": len(kernels),
        "kernels_mib": weight(kernels)[1],
    }


def measure(bench: Bench) -> dict:
    """{"minutes", "samples": [{"s", "fds", "rss_mib", "kernels", "kernels_mib"}], "load", "before", "after"} and verdict()"""
    if not SDK_PYTHON.exists():
        bench.note("soak: left out, the SDKs are in build/test-venv (scripts/test makes it)")
        return {}
    seconds = bench.minutes * 60
    every = min(EVERY_S, seconds / 12)
    samples: list[dict[str, float]] = []
    with gateway(bench, "--keep_executions=100") as running:
        NativeApi(running.url, running.token).close()  # a socket has been there
        before = sample(running)
        command = [SDK_PYTHON, Path(__file__).with_name("soakload.py"), running.url, running.token, seconds]
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as load:
            start = time.monotonic()
            while load.poll() is None:
                time.sleep(every)
                samples.append({"s": time.monotonic() - start} | sample(running))
            assert load.stdout
            said = load.stdout.read()
        if load.returncode != 0:
            raise RuntimeError("the load failed, see above")
        until("the pool to shrink", lambda: len(running.kernels()) <= before["kernels"], REST_S, every_s=1)
        after = sample(running)
    samples = [one for one in samples if one["s"] <= seconds] or samples
    return {
        "minutes": bench.minutes,
        "samples": samples,
        "load": json.loads(said),
        "before": before,
        "after": after,
    } | verdict(samples)
