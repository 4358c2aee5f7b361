"""Batch jobs: the same question for the rows of many Parquet files, part by part, on one machine or on several.

``answer_part`` answers one part, and is all that an engine needs to call. ``run`` cuts the input into parts and has an
engine answer them: processes of this machine, torchrun or Ray. A part that exists and is whole is not done again.
"""

from isthmus.jobs.part import answer_part
from isthmus.jobs.run import Done, run

__all__ = ["Done", "answer_part", "run"]
