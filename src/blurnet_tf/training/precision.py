"""The number format that a machine computes fastest in. Weights and all scoring stay float32 in any case."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

PRECISIONS: tuple[str, ...] = ("auto", "float32", "mixed_bfloat16")

CPU_FLAGS: dict[str, str] = {"amx_bf16": "AMX", "avx512_bf16": "AVX512_BF16"}
"""How a processor says that it multiplies bfloat16 in hardware, and what that is called; the fastest first."""


def resolve(name: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, str]:
    """Return the Keras dtype policy for one of `PRECISIONS`, and a sentence that says why.

    "auto" is bfloat16 where a GPU (compute capability 8 or newer) or the processor multiplies it in hardware.
    """
    if name not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {', '.join(PRECISIONS)}. Received: precision={name!r}")
    if name != "auto":
        return name, f"PRECISION={name}"
    for gpu in tf.config.list_physical_devices("GPU"):
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        if capability >= (8, 0):
            return "mixed_bfloat16", f"PRECISION=auto: mixed_bfloat16, because {gpu.name} computes in bfloat16"
    flags = cpuinfo.read_text(encoding="utf-8", errors="replace").split() if cpuinfo.exists() else []
    for flag, title in CPU_FLAGS.items():
        if flag in flags:
            return "mixed_bfloat16", f"PRECISION=auto: mixed_bfloat16, because the processor has {title}"
    return "float32", "PRECISION=auto: float32, because neither a GPU nor the processor computes in bfloat16"


def gpu_names() -> list[str]:
    """Return what the GPUs are called that TensorFlow sees."""
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def make_deterministic() -> None:
    """Have TensorFlow give the same bytes for the same seed, in true float32. Call it before anything is computed.

    It holds for the whole process. Random operations that have no seed of their own start from 0: without any seed
    TensorFlow refuses them then.
    """
    tf.random.set_seed(0)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)
