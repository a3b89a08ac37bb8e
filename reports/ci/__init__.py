"""What a CI job reads: JUnit XML, a Markdown summary, the outcome of each scenario."""
