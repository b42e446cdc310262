import pytest

pytest.register_assert_rewrite("tests.data.contract.checks")  # what fails there shows its values, as in a test
