import sys

import ordering
import reports
import scenarios
import simulation


def test_the_project_finds_its_own_packages():
    assert {package.OWNER for package in (ordering, reports, scenarios, simulation)} == {"project"}


def test_nothing_was_imported_for_scenarios():
    assert not {"pydantic", "redis", "simpy", "numpy"} & set(sys.modules)
