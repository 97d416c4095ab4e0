"""Random walks of driver, interchange and managers; `walks` has the world, and takes many more of them."""

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walks import walk

WALKS, BATCHES = 200, 8


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_task_is_lost_doubled_or_falsely_failed_and_no_node_overbooked_on_a_random_walk(batch, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    for seed in range(batch, WALKS, BATCHES):
        try:
            walk(seed, str(tmp_path))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
