"""The choice of a number format."""

from pathlib import Path

import pytest
import tensorflow as tf

from blurnet_tf.training.precision import resolve


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])


def cpu(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\n")
    return path


@pytest.mark.parametrize(("flag", "title"), [("amx_bf16", "AMX"), ("avx512_bf16", "AVX512_BF16")])
def test_auto_takes_bfloat16_where_the_processor_has_it(tmp_path: Path, flag: str, title: str) -> None:
    sentence = f"PRECISION=auto: mixed_bfloat16, because the processor has {title}"
    assert resolve("auto", cpu(tmp_path, flag)) == ("mixed_bfloat16", sentence)


@pytest.mark.parametrize("flags", ["avx512f avx2", "avx512_bf16x amx_tile"])
def test_auto_takes_float32_elsewhere(tmp_path: Path, flags: str) -> None:
    sentence = "PRECISION=auto: float32, because neither a GPU nor the processor computes in bfloat16"
    assert resolve("auto", cpu(tmp_path, flags)) == ("float32", sentence)


def test_the_fastest_unit_is_the_reason(tmp_path: Path) -> None:
    assert resolve("auto", cpu(tmp_path, "avx512_bf16 amx_bf16"))[1].endswith("because the processor has AMX")


def test_auto_takes_float32_where_nothing_is_known_of_the_processor(tmp_path: Path) -> None:
    assert resolve("auto", tmp_path / "none")[0] == "float32"


@pytest.mark.parametrize(
    ("capability", "dtype"), [((8, 0), "mixed_bfloat16"), ((9, 0), "mixed_bfloat16"), ((7, 5), "float32")]
)
def test_auto_takes_bfloat16_on_a_gpu_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert resolve("auto", cpu(tmp_path, ""))[0] == dtype


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16"])
def test_a_named_precision_is_taken_whatever_the_machine_has(name: str) -> None:
    assert resolve(name) == (name, f"PRECISION={name}")


def test_another_name_is_an_error() -> None:
    sentence = r"^`precision` must be one of auto, float32, mixed_bfloat16\. Received: precision='float16'$"
    with pytest.raises(ValueError, match=sentence):
        resolve("float16")
