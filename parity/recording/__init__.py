"""Keep what a side computes, and judge others against it later, when its code is not there."""

from __future__ import annotations

from parity.recording.recording import Recording
from parity.recording.side import RecordedSide, record_component
from parity.recording.values import RecordingError

__all__ = ["RecordedSide", "Recording", "RecordingError", "record_component"]
