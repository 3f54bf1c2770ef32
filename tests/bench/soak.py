"""Whether a gateway stays as it is under a load that goes on: descriptors and memory, sampled, and the line through them."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from rig import SDK_PYTHON, Bench, gateway, slope, weight

EVERY_S = 10.0
WARM_UP = 0.25  # the share of the samples that are left out of the line
FDS_MAX = 4.0  # growth over the time measured that still is none: descriptors,
RSS_MAX = 0.05  # ... and of the resident set, as a share of it


def verdict(samples: list[dict[str, float]]) -> dict:
    """{"fds_growth", "rss_growth_mib", "rss_per_hour_mib", "flat"} over the samples after the warm-up."""
    kept = samples[int(len(samples) * WARM_UP) :]
    span = kept[-1]["s"] - kept[0]["s"]
    fds = slope([(one["s"], one["fds"]) for one in kept]) * span
    per_s = slope([(one["s"], one["rss_mib"]) for one in kept])
    mean = sum(one["rss_mib"] for one in kept) / len(kept)
    return {"fds_growth": fds, "rss_growth_mib": per_s * span, "rss_per_hour_mib": per_s * 3600,
            "flat": fds <= FDS_MAX and per_s * span <= RSS_MAX * mean}


def measure(bench: Bench) -> dict:
    """{"minutes", "samples": [{"s", "fds", "rss_mib", "kernels", "kernels_mib"}], "load": ..., verdict()...}"""
    if not SDK_PYTHON.exists():
        bench.note("soak: left out, the SDKs are in build/test-venv (scripts/test makes it)")
        return {}
    seconds = bench.minutes * 60
    every = min(EVERY_S, seconds / 12)
    samples: list[dict[str, float]] = []
    with gateway(bench, "--keep_executions=100") as running:
        command = [SDK_PYTHON, Path(__file__).with_name("soakload.py"), running.url, running.token, seconds]
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as load:
            start = time.monotonic()
            while load.poll() is None:
                time.sleep(every)
                kernels = running.kernels()
                samples.append({
                    "s": time.monotonic() - start, "fds": running.fds(), "rss_mib": running.rss_kib() / 1024,
                    "kernels": len(kernels), "kernels_mib": weight(kernels)[1]})
            assert load.stdout
            said = load.stdout.read()
        if load.returncode != 0:
            raise RuntimeError("the load failed, see above")
        running.settle()
        after = {"fds": running.fds(), "rss_mib": running.rss_kib() / 1024}
    samples = [one for one in samples if one["s"] <= seconds] or samples
    return {"minutes": bench.minutes, "samples": samples, "load": json.loads(said), "after": after} | verdict(samples)
