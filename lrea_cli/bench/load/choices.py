"""What the options of a measurement under load can be; imports nothing heavy, since every command's help reads it."""

from __future__ import annotations

from typing import Literal, get_args

UserDraw = Literal["zipf", "uniform"]
"""How often each user sends requests: the user of rank r in proportion to r^-s; or each as often."""
RecordState = Literal["warm", "cold"]
"""Records in the page cache, or dropped from it before each request."""
OnMissing = Literal["empty", "summarize"]
"""What a request does for a user without a record: takes the empty one, or makes the user's from the history."""
ON_MISSING: tuple[OnMissing, ...] = get_args(OnMissing)
PeerName = Literal["onnxruntime", "openvino"]
"""Runtimes that serve the same request from an ONNX graph."""
PEERS: tuple[PeerName, ...] = get_args(PeerName)
