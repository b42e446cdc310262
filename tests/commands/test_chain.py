"""Every command as a user types it: the chain on raw Taobao and on real labels, and each error path."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from lrea_cli.cli import main
from lrea_cli.serving.native.abi import path_of
from tests.fixtures.exposures_raw import write_exposures
from tests.fixtures.taobao_raw import write_taobao

KUAIRAND = Path(__file__).parents[2].parent / "shared" / "data" / "kuairand" / "kuairand_kcore15.tsv.gz"
SMALL = ["--epochs", "1", "--batch-size", "64", "--threads", "2"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def lrea(capsys, *arguments, code=0):
    """Run a command line; returns its standard output and error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    found = capsys.readouterr()
    assert (stop.value.code or 0) == code, found.err
    return found


def result(capsys, *arguments):
    """The one JSON object on standard output."""
    out = lrea(capsys, *arguments, "--json").out
    assert out.count("\n") == 1
    return json.loads(out)


def check_bench(found, method):
    assert found["gate"]["passed"]
    assert found["gate"]["max_relative_error"] < 1e-5
    assert set(found["machine"]) == {"cpu", "threads", "device"}
    assert set(found["lengths"]) == {"p50", "p90", "max"}
    assert set(found["speedup_vs_full"]) == {"request", "interest"}
    for lengths in found["speedup_vs_full"].values():
        assert set(lengths) == {"real", "padded"}
        for ratio in lengths.values():
            assert (ratio["value"] is None) == (found["withheld"] is not None)
            assert found["withheld"] or ratio["ci"][0] <= ratio["value"] <= ratio["ci"][1]
    assert 0 < found["load"]["share"] <= 1
    rows = {(r["stage"], r["method"], r["kernel"], str(r["length"])) for r in found["rows"]}
    kernels = {r["kernel"] for r in found["rows"]}
    native = {("request", m, "native", "real") for m in (method, "full")} if path_of("auto") else set()
    assert {row for row in rows if row[2] == "native"} == native
    assert len(rows) == 6 * len(kernels - {"native"}) + len(native)
    assert len({r["requests"] for r in found["rows"]}) == 1
    assert ("interest", method, "gemm", "real") in rows
    assert all(r["p50_ms"] > 0 and r["requests"] >= 10 for r in found["rows"])


@pytest.mark.slow
def test_the_users_lines_on_raw_taobao(home, capsys):
    raw = write_taobao(home.parent / "UserBehavior.csv")
    prepared = result(capsys, "prepare", "taobao")
    assert prepared["events_read"] == raw.rows
    assert prepared["rejected"] == raw.rejected
    assert prepared["events_read"] == prepared["events_kept"] + sum(prepared["rejected"].values())
    assert set(prepared["samples"]) == {"train", "valid", "test"}
    assert {"users", "items", "categories", "seconds", "peak_memory_mb"} <= set(prepared)
    trained = result(capsys, "train", "--rank", 128, "--lam", 0.3)
    assert trained["method"] == "lrea"
    assert {"run", "epochs", "best_valid_auc", "samples_per_second", "seconds"} <= set(trained)
    bench = result(capsys, "serve-bench", "--candidates", 1000, "--seconds", 0.1)
    check_bench(bench, "lrea")
    assert bench["rows"][0]["rank"] == 128
    evaluated = result(capsys, "eval")
    assert evaluated["run"] == trained["run"]
    assert set(evaluated["baselines"]) == {"category_count", "item_count", "popularity"}
    assert set(evaluated["absorption_gap"]) == {"auc", "ci", "rms_logit", "rms_over_sd"}
    assert {"method", "split", "auc", "gauc", "log_loss", "auc_cached"} <= set(evaluated)
    compressed = result(capsys, "compress", "--dtype", "float16", "--cache", "half")
    assert {"run", "cache", "users", "rank", "dtype", "bytes_per_user", "ms_per_user"} <= set(compressed)
    assert len(list((home / "bench").glob("*.json"))) == 1


def test_one_good_row_more_is_one_event_more(home, capsys):
    raw = write_taobao(home.parent / "UserBehavior.csv")
    raw.path.write_bytes(raw.path.read_bytes() + b"1,2,3,pv,1511600001\n")
    assert result(capsys, "prepare", "taobao")["events_kept"] == raw.kept + 1


@pytest.mark.slow
def test_serve_bench_makes_a_cache_and_says_so(home, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 60)
    lrea(capsys, "train", "--rank", 4, "--long", 20, "--short", 5, *SMALL)
    first = lrea(capsys, "serve-bench", "--candidates", 5, "--seconds", 0.1)
    assert "has no cache yet: making one first" in first.out
    assert "p99 n/a: needs 459 requests, has" in first.out
    second = lrea(capsys, "serve-bench", "--candidates", 5, "--seconds", 0.1, "--kernel", "gemm")
    assert "making one first" not in second.out


def chain_on_exposures(capsys, raw, method="lrea"):
    prepare = ["--user-column", "user_id", "--item-column", "video_id", "--time-column", "time_ms", "--time-unit", "ms"]
    labels = [
        "--label-column",
        "is_click",
        "--item-field",
        "duration=duration_ms",
        "--numeric",
        "duration",
        "--utc-offset",
        8,
    ]
    prepared = result(capsys, "prepare", "table", "--raw", raw, *prepare, *labels)
    assert prepared["categories"] is None
    assert [f["name"] for f in prepared["fields"]] == ["item", "duration"]
    rank = ["--rank", 16] if method == "lrea" else []
    result(capsys, "train", "--short", 10, "--method", method, *rank, *SMALL)
    check_bench(result(capsys, "serve-bench", "--candidates", 50, "--seconds", 0.1), method)
    evaluated = result(capsys, "eval", "--group", "request")
    assert evaluated["baselines"]["category_count"] is None
    return prepared, evaluated


@pytest.mark.slow
def test_the_chain_on_exposures_with_real_labels(home, capsys):
    raw = home.parent / "exposures.tsv"
    rows = write_exposures(raw)
    prepared, _ = chain_on_exposures(capsys, raw)
    assert prepared["events_read"] == rows
    assert sum(prepared["samples"].values()) == prepared["events_kept"]


@pytest.mark.slow
def test_the_chain_on_the_kuairand_excerpt(home, capsys):
    if not KUAIRAND.is_file():
        pytest.skip("the KuaiRand excerpt is not beside the checkout: put it at ../shared/data/kuairand/")
    prepared, evaluated = chain_on_exposures(capsys, KUAIRAND)
    with gzip.open(KUAIRAND, "rt") as file:
        columns = ("user_id", "video_id", "time_ms", "is_click", "duration_ms")
        rows = [tuple(row[c] for c in columns) for row in csv.DictReader(file, delimiter="\t")]
    assert prepared["events_read"] == len(rows)
    assert prepared["events_kept"] == len(set(rows)) == sum(prepared["samples"].values())
    assert evaluated["auc"] > 0.5


@pytest.mark.slow
def test_a_user_field_that_decides_the_label_is_learnt_by_recipe_alone(home, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 150, "--field-effect", 50)
    recipe = home.parent / "fields.toml"
    text = '[data]\nshort = 5\nlong = 10\nfields = [{}]\n[model]\nmethod = "mean"\nhidden = [16]\n'
    text += "[train]\nepochs = 4\nbatch_size = 256\nlr = 0.01\ninitial_accumulator = 0.01\n"
    auc = {}
    for name, fields in {"without": '"item", "category"', "with": '"item", "category", "age_band"'}.items():
        recipe.write_text(text.format(fields))
        lrea(capsys, "train", "--recipe", recipe, "--run", name)
        auc[name] = result(capsys, "eval", "--run", name)["auc"]
    assert auc["with"] > 0.95
    assert auc["without"] < 0.92  # not chance: a user's labels repeat, and the history says whose they are


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prepare", "taobao"], ["UserBehavior.csv", "--raw", "lrea prepare synthetic"]),
        (["prepare", "table"], ["--raw"]),
        (["train"], ["no dataset", "lrea prepare"]),
        (["train", "--rank", "600"], ["rank = 600", "--method din"]),
        (["train", "--lam", "-1"], ["lam is -1", "Use 0 to"]),
        (["train", "--recipe", "taobao-lera"], ["did you mean 'taobao-lrea'"]),
        (["compress"], ["no run", "lrea train"]),
        (["compress", "--run", "none"], ["no run 'none'"]),
        (["eval"], ["no run", "lrea train"]),
        (["serve-bench"], ["no run", "lrea train"]),
        (["train", "--dataset", "../x"], ["'../x' is not a usable name"]),
        (["train", "--device", "cuda"], ["no CUDA device", "--device cpu"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_users_mistakes_end_with_2_and_a_remedy(home, capsys, arguments, words):
    found = lrea(capsys, *arguments, code=2)
    assert found.out == ""
    assert "Traceback" not in found.err
    for word in words:
        assert word in found.err.replace("\n", " ")


@pytest.mark.slow
def test_a_dataset_prepared_anew_refuses_its_old_runs(home, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 60)
    lrea(capsys, "train", "--method", "mean", "--long", 20, *SMALL)
    refused = lrea(capsys, "prepare", "synthetic", "--users", 61, code=2).err
    assert "'synthetic' exists already" in refused
    assert "--replace" in refused
    lrea(capsys, "prepare", "synthetic", "--users", 60, "--replace")
    lrea(capsys, "eval")  # equal data, equal identity
    lrea(capsys, "prepare", "synthetic", "--users", 61, "--replace")
    for command in ("eval", "compress", "serve-bench"):
        assert "made from another version of the dataset" in lrea(capsys, command, code=2).err


@pytest.mark.slow
def test_compress_of_some_users_and_of_a_time(home, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 60)
    lrea(capsys, "train", "--method", "din", "--long", 20, "--short", 5, *SMALL)
    chosen = home.parent / "users.txt"
    chosen.write_text("3\n17\n")
    found = result(capsys, "compress", "--users", chosen, "--as-of", "1970-01-02", "--cache", "old")
    assert (found["users"], found["rank"]) == (2, 0)
    chosen.write_text("nobody\n")
    assert "'nobody'" in lrea(capsys, "compress", "--users", chosen, code=2).err
    assert "is no time" in lrea(capsys, "compress", "--as-of", "yesterday", code=2).err
    assert "exists already" in lrea(capsys, "compress", "--cache", "old", code=2).err


@pytest.mark.slow
def test_demo(home, capsys):
    found = result(capsys, "demo", "--users", 120)
    assert [r["name"] for r in found["results"]] == ["din-short", "mean", "lrea", "din", "din, clusters 16"]
    assert found["results"][0]["difference"] == {"value": 0, "ci": [0, 0], "resolved": False}
    assert all(r["difference"]["ci"][0] <= r["difference"]["value"] for r in found["results"])
    assert all(r["auc"] is not None and abs(r["auc"] - r["auc_cached"]) < 0.05 for r in found["results"])
    assert found["bayes_auc"] > 0.7
    assert {row["kernel"] for row in found["serve"]} == {"gemm", *(["native"] if path_of("auto") else [])}
    check_bench(
        {
            **found,
            "machine": dict.fromkeys(["cpu", "threads", "device"]),
            "lengths": dict.fromkeys(["p50", "p90", "max"]),
            "rows": found["serve"],
        },
        "lrea",
    )


@pytest.mark.slow
def test_a_home_may_hold_signs_of_patterns_and_quotes(home, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("LREA_HOME", "~/a?b*[c]'d %41")
    assert result(capsys, "prepare", "synthetic", "--users", 60)["users"] == 60
    lrea(capsys, "train", "--method", "din", "--long", 20, "--short", 5, *SMALL)
    lrea(capsys, "compress")
    assert result(capsys, "eval")["run"] == "synthetic-din-1"
    assert [p.name for p in home.parent.iterdir() if not p.name.startswith(".")] == ["a?b*[c]'d %41"]
