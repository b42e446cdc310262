"""Every method from raw file to evaluation, on each kind of data, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrea_cli.recipe.settings import METHOD_NAMES
from tests.commands.test_chain import KUAIRAND, check_bench, lrea, result
from tests.fixtures.amazon_raw import write_amazon
from tests.fixtures.taobao_raw import write_taobao

TABLE = "table --user-column user_id --item-column video_id --time-column time_ms --time-unit ms"
LABELS = (
    "--label-column is_click --item-field duration=duration_ms --numeric duration --utc-offset 8 --dataset kuairand"
)


def prepare_synthetic(home: Path) -> str:
    return "synthetic --users 60 --dataset synthetic"


def prepare_taobao(home: Path) -> str:
    write_taobao(home / "UserBehavior.csv")
    return "taobao --dataset taobao"


def prepare_kuairand(home: Path) -> str:
    if not KUAIRAND.is_file():
        pytest.skip("the KuaiRand excerpt is not beside the checkout: put it at ../shared/data/kuairand/")
    return f"{TABLE} {LABELS} --raw {KUAIRAND}"


def prepare_amazon(home: Path) -> str:
    write_amazon(home, 2018, users=300)
    return "amazon-books --dataset amazon --min-history 2"


SOURCES = [prepare_synthetic, prepare_taobao, prepare_amazon, prepare_kuairand]


@pytest.fixture(scope="module", params=SOURCES, ids=lambda p: p.__name__)
def prepared(request, tmp_path_factory) -> tuple[Path, str]:
    """A home with one prepared dataset, and its name."""
    root = tmp_path_factory.mktemp("every-method")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LREA_HOME", str(root / "home"))
        patch.chdir(root)
        arguments = request.param(root).split()
        from lrea_cli.cli import main

        with pytest.raises(SystemExit) as stop:
            main(["prepare", *arguments])
        assert not stop.value.code
    return root, arguments[arguments.index("--dataset") + 1]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_method_is_trained_compressed_timed_and_evaluated(prepared, monkeypatch, capsys, method):
    root, dataset = prepared
    monkeypatch.setenv("LREA_HOME", str(root / "home"))
    monkeypatch.chdir(root)
    lengths = ["--short", 10, "--long", 40, *(["--rank", 16] if method == "lrea" else [])]
    settings = ["--method", method, "--dataset", dataset, "--run", method, *lengths, "--epochs", 1, "--batch-size", 512]
    if method == "sim" and dataset == "kuairand":
        refused = lrea(capsys, "train", *settings, code=2).err
        assert "reads no field 'category'" in refused
        assert "--search soft" in refused
        settings += ["--search", "soft"]
    if method == "category" and dataset == "kuairand":
        assert "reads no field 'category'" in lrea(capsys, "train", *settings, code=2).err
        return
    assert result(capsys, "train", *settings)["method"] == method
    if method != "din-short":
        assert result(capsys, "compress", "--run", method)["bytes_per_user"] > 0
        check_bench(result(capsys, "serve-bench", "--run", method, "--candidates", 20, "--seconds", 0.1), method)
    evaluated = result(capsys, "eval", "--run", method)
    assert 0 < evaluated["auc"] < 1
    gap = abs(evaluated["auc"] - evaluated["auc_cached"])
    assert gap < {"lrea": 1e-2, "twin-v2": 5e-2}.get(method, 1e-3)
