"""A decision as a document: the verdict in words first, then what it rests on."""

from __future__ import annotations

from lrea_cli.console.counts import counted
from lrea_cli.console.show import number
from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.decide.verdict.words import budget, code, named, tolerance
from lrea_cli.reporting.decision import tables
from lrea_cli.reporting.decision.curve_picture import curve_picture
from lrea_cli.reporting.decision.document import Block, Cell, Document, Lines, Points, Section, Table, Text
from lrea_cli.reporting.decision.frontier_picture import frontier_picture


def document(decision: Decision) -> Document:
    """The page; a section for which nothing was measured is left out."""
    verdict = decision.verdict
    sections = (
        ("The question", [Text(_question(decision)), *_plan(decision)]),
        ("What is unsure", [Points(verdict.unsure or ("Nothing that was looked for was found.",))]),
        ("AUC against time", _trade_off(decision)),
        ("The contenders", _contenders(decision)),
        ("More training rows", _curves(decision)),
        ("Without a model", _counters(decision)),
        ("What was dropped, and why", _dropped(decision)),
        ("The machine", _machine(decision)),
        ("Make every number again", [Lines(tuple((one.makes, one.line) for one in decision.measured.commands))]),
    )
    title = f"What to ship on {code(decision.measured.question.data.name)}"
    kept = tuple(Section(name, tuple(blocks)) for name, blocks in sections if blocks)
    return Document(title, verdict.headline, verdict.reasons, kept)


def _question(decision: Decision) -> str:
    asked = decision.measured.question
    data = asked.data
    return (
        f"Which is the cheapest way to serve {code(data.name)} that loses less than {tolerance(asked)} AUC to the best "
        f"one, with 99 of 100 requests of {counted(asked.candidates, 'candidate')} within {budget(asked)}? The log "
        f"(source: {data.source}) has {counted(data.users, 'user')} and {counted(data.items, 'item')}; "
        f"{data.train_rows:,} training rows; {data.test_rows:,} test rows of {counted(data.test_users, 'user')} over "
        f"{data.test_days:g} {'day' if data.test_days == 1 else 'days'}. Each contender was trained with "
        f"{counted(len(asked.seeds), 'seed')}, all in at most {asked.hours:g} hours."
    )


def _plan(decision: Decision) -> list[Block]:
    return [Points(decision.measured.plan)] if decision.measured.plan else []


def _trade_off(decision: Decision) -> list[Block]:
    picture = frontier_picture(decision)
    if picture is None:
        return []
    text = (
        "Bars: 95% intervals of the p99, and of the AUC by itself, for other users and other seeds of training. "
        "Differences are paired on the same users, so their intervals are narrower than two bars suggest: the table "
        "below has them, and they decide."
    )
    return [picture, Text(text)]


def _contenders(decision: Decision) -> list[Block]:
    if not decision.measured.contenders:
        return []
    asked = decision.measured.question
    reading = (
        "p99, p50: of a whole request; all contenders took turns on the same requests.",
        "Frontier: no other contender beats it in both p99 and AUC, as measured.",
        "AUC as served: of the test split, through the records, the mean over seeds.",
        "Loss to the highest: the highest AUC minus the own, paired; its 95% interval is for other users and other "
        "seeds. At most: the largest upper end of such intervals against every other contender, since it is not known "
        f"which one is truly the best. Yes: that is below {tolerance(asked)}; such a claim is wrong in at most 2.5 of "
        f"100 decisions. No: it is shown to lose more than {tolerance(asked)} to one of them. Not shown: neither.",
        "Record: what is stored of a user's history, in bytes. A new behavior: rows of the record that it changes, and "
        "the work.",
        "No interval here is for other days than those of the test split.",
    )
    aged = any(each.aged for each in decision.measured.contenders)
    others = (
        *(["Loss at so many days: AUC of fresh records minus that of records so old."] if aged else []),
        "GAUC: AUC within each user, the mean over users by their test rows.",
        "ECE, NE: expected calibration error; normalized entropy, the log loss over that of the click rate alone.",
    )
    return [
        *(tables.deciding_table(decision), Points(reading)),
        *(tables.other_table(decision), Points(others)),
        tables.about_table(decision),
    ]


def _curves(decision: Decision) -> list[Block]:
    table, picture = tables.curve_table(decision), curve_picture(decision)
    if table is None:
        return []
    said = Text(
        f"AUC as served of the first seed, trained on the rows of a part of the users. Bold: {named(_main(decision))}."
    )
    return [*([picture, said] if picture else []), table]


def _main(decision: Decision) -> list[str]:
    verdict = decision.verdict
    return list(dict.fromkeys(name for name in (verdict.choice, verdict.guess, verdict.best) if name))


def _counters(decision: Decision) -> list[Block]:
    best, table = decision.measured.question.data.best_auc, tables.counter_table(decision)
    known = [Text(f"The best possible AUC on this log, known by its construction: {number(best)}.")] if best else []
    counts = [Text("Counts that rank the candidates without a model."), table] if table else []
    return [*counts, *known]


def _dropped(decision: Decision) -> list[Block]:
    table = tables.dropped_table(decision)
    if table is None:
        return []
    return [Text("To end within the hours, the worst by validation AUC were dropped after each stage."), table]


def _machine(decision: Decision) -> list[Block]:
    measured = decision.measured
    rows = {
        "machine": str(measured.machine),
        "while times were taken": "no times were taken" if measured.load is None else str(measured.load),
        "versions": ", ".join(f"{name} {version}" for name, version in measured.versions.items()),
        "date": measured.date,
    }
    cells = tuple((Cell(name), Cell(text, words=True)) for name, text in rows.items())
    return [Table("The machine", ("what", "value"), cells)]
