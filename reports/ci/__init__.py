"""Files for CI jobs: JUnit XML, a Markdown summary, the outcome of each scenario."""
