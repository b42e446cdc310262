import pytest

pytest.register_assert_rewrite("tests.prepare.contract.checks")  # what fails there shows its values, as in a test
