"""What a run of pytest within a test imports, imported before: pytester forgets modules that are new in such a run.

Later tests of the same process would import them a second time, beside objects of the first; numpy refuses that.
"""

import reports.page.page
import simulation.pytest_plugin
import simulation.stores.fakeredis_store

MODULES = (reports.page.page, simulation.pytest_plugin, simulation.stores.fakeredis_store)
