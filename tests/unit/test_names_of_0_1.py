"""Modules of version 0.1 that scripts import, whose code has moved."""

import cnflow
import cnflow.checkpoints
import cnflow.compat.parsl.utils
import cnflow.utils


def test_utils_has_all_names_of_the_parsl_layers_utils():
    assert cnflow.utils.__all__ == cnflow.compat.parsl.utils.__all__
    for name in cnflow.utils.__all__:
        assert getattr(cnflow.utils, name) is getattr(cnflow.compat.parsl.utils, name)


def test_checkpoints_and_the_package_have_the_same_functions():
    assert cnflow.checkpoints.get_all_checkpoints is cnflow.get_all_checkpoints
    assert cnflow.checkpoints.get_last_checkpoint is cnflow.get_last_checkpoint
    assert cnflow.checkpoints.seconds_of_period("00:01:00") == 60
