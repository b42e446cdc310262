"""One contract for all methods: a new method only adds itself to `METHODS`."""

import numpy as np
import pytest
import torch

from lrea_cli import reference
from lrea_cli.methods import METHODS
from lrea_cli.recipe import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates
from lrea_cli.serving.records import RecordFormat

B, N, L, D, RANK = 4, 3, 9, 4, 5
LENGTHS = (9, 0, 1, 6)

VARIANTS = [
    ModelSettings(method="din-short", rank=RANK),
    ModelSettings(method="mean", rank=RANK),
    ModelSettings(method="din", rank=RANK),
    *(
        ModelSettings(method="lrea", rank=RANK, form=form, decomp_columns=columns, short_histories=short)
        for form in ("decomposed", "absorbed")
        for columns in ("unit", "free")
        for short in ("mix", "exact")
    ),
]


def name_of(settings):
    parts = [settings.method, settings.form, settings.decomp_columns, settings.short_histories]
    return "-".join(parts if settings.method == "lrea" else parts[:1])


every_variant = pytest.mark.parametrize("settings", VARIANTS, ids=name_of)


def build(settings):
    """A method in float64 whose parameters are all away from their start."""
    torch.manual_seed(3)
    method = METHODS[settings.method].build(settings, D, L).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return method


def behaviors(lengths=LENGTHS, width=L, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    vectors = torch.randn(len(lengths), L, D, generator=generator, dtype=torch.float64)
    vectors = torch.nn.functional.pad(vectors, (0, 0, 0, max(0, width - L)))[:, :width]
    item = torch.randint(2, 9, (len(lengths), width), generator=generator) * mask
    return Behaviors(vectors.masked_fill(~mask[..., None], 0.0), mask, item)


def candidates(count=N, requests=B, seed=1):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(requests, count, D, generator=generator, dtype=torch.float64)
    return Candidates(vectors, torch.ones(requests, count, dtype=torch.bool), torch.full((requests, count), 2))


def twin(method, settings, seen, asked, served):
    """The loops of `reference.py`: (B, N, D) of the training form, or of the served one."""
    weights = {f"long.{k}": v.detach().numpy() for k, v in method.state_dict().items()}
    exact = settings.short_histories == "exact"
    model = reference.ReferenceModel(weights, (), (), settings.method, settings.decomp_columns == "unit", exact)
    found = np.zeros(asked.vectors.shape)
    for b in range(len(found)):
        E = seen.vectors[b][seen.mask[b]].numpy()
        for n, e_t in enumerate(asked.vectors[b].numpy()):
            if settings.method == "din-short":
                continue
            scorer = model.scorer("long")
            if settings.method == "lrea" and settings.form == "decomposed" and not served:
                if exact and len(E) <= RANK:
                    found[b, n] = reference.din(e_t, E, scorer)
                else:
                    W_decomp = reference.columns_of(weights["long.decomp"], model.unit)
                    found[b, n] = reference.lrea_decomposed(e_t, E, weights["long.W_comp"], W_decomp, scorer)
            else:
                found[b, n] = reference.attention(e_t, *model.pseudo_items(E), scorer)
    return found


@every_variant
def test_training_form_equals_the_loops(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    found = method(seen, asked).vectors.detach().numpy()
    np.testing.assert_allclose(found, twin(method, settings, seen, asked, served=False), rtol=1e-9, atol=1e-10)


@every_variant
def test_served_form_equals_the_loops(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    found = method.attend(method.summarize(seen), asked).detach().numpy()
    np.testing.assert_allclose(found, twin(method, settings, seen, asked, served=True), rtol=1e-9, atol=1e-10)


@every_variant
def test_attend_of_summarize_is_forward_unless_decomposed(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    trained, served = method(seen, asked).vectors, method.attend(method.summarize(seen), asked)
    same = torch.allclose(trained, served, rtol=1e-10, atol=1e-10)
    assert same == (settings.method != "lrea" or settings.form == "absorbed")


@every_variant
def test_padding_changes_nothing(settings):
    method, asked = build(settings), candidates()
    lengths = (4, 0, 1, 3)
    narrow, wide = method(behaviors(lengths, 4), asked), method(behaviors(lengths, L), asked)
    torch.testing.assert_close(narrow.vectors, wide.vectors)
    for name, term in narrow.penalty.items():
        torch.testing.assert_close(term, wide.penalty[name])
    served = [method.attend(method.summarize(behaviors(lengths, width)), asked) for width in (4, L)]
    torch.testing.assert_close(*served)


@every_variant
def test_an_empty_history_has_no_interest(settings):
    method, seen, asked = build(settings), behaviors((0, 0)), candidates(requests=2)
    assert not method(seen, asked).vectors.any()
    summary = method.summarize(seen)
    assert not method.attend(summary, asked).any()
    assert summary.rows.tolist() == [0, 0]


@every_variant
def test_requests_and_candidates_are_scored_apart(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    whole = method(seen, asked).vectors
    order = torch.tensor([2, 0, 1])
    permuted = Candidates(asked.vectors[:, order], asked.mask, asked.item)
    torch.testing.assert_close(method(seen, permuted).vectors, whole[:, order])
    alone = Behaviors(seen.vectors[3:], seen.mask[3:], seen.item[3:])
    one = Candidates(asked.vectors[3:, :1], asked.mask[3:, :1], asked.item[3:, :1])
    torch.testing.assert_close(method(alone, one).vectors, whole[3:, :1])


@every_variant
def test_gradients_reach_the_vectors_and_every_parameter(settings):
    method, asked = build(settings), candidates()
    seen = behaviors()
    vectors = seen.vectors.clone().requires_grad_()
    interest = method(Behaviors(vectors, seen.mask, seen.item), asked)
    if settings.method == "din-short":
        assert not interest.vectors.requires_grad
        return
    (interest.vectors.square().sum() + sum(interest.penalty.values())).backward()
    assert vectors.grad is not None
    assert (vectors.grad[seen.mask].abs().sum(1) > 0).all()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@every_variant
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_record_round_trip_serves_the_sealed_summary(settings, dtype):
    method, seen, asked = build(settings), behaviors(), candidates()
    layout = RecordFormat(method.record, dtype)
    sealed = method.seal(method.summarize(seen), layout.torch_dtype)
    rows, arrays = sealed.rows.tolist(), layout.arrays_of(sealed)
    blobs = [layout.pack(k, rows[k], [a[k] for a in arrays]) for k in range(B)]
    assert [layout.bytes_of(r) for r in rows] == [len(b) for b in blobs]
    read = layout.summary_of([layout.unpack(b, k, "test") for k, b in enumerate(blobs)], method.summary_type)
    torch.testing.assert_close(method.attend(read, asked), method.attend(sealed, asked), rtol=1e-6, atol=1e-6)
    exact = method.attend(method.summarize(seen), asked)
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    torch.testing.assert_close(method.attend(read, asked), exact, rtol=tolerance, atol=tolerance)
