"""The sources of raw events, one file each."""

from __future__ import annotations

from lrea_cli.prepare.sources.amazon_books import AmazonBooks
from lrea_cli.prepare.sources.amazon_books_sim import AmazonBooksSim
from lrea_cli.prepare.sources.base import Source
from lrea_cli.prepare.sources.find import find_files, where_without_raw
from lrea_cli.prepare.sources.kuairand import KuaiRand
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao

__all__ = ["SOURCES", "find_files", "where_without_raw"]

SOURCES: tuple[type[Source], ...] = (Taobao, AmazonBooks, AmazonBooksSim, KuaiRand, Table, Synthetic)
