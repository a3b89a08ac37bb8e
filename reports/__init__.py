"""What a run leaves for people to see: frames, pictures, the page, and what a build server reads.

Read first `lives.py`, which turns a history into the lives of its events. `frames.py` makes tables of them,
`series.py` makes series over time of the tables, `figures.py` draws those as pictures.

A report shows what a history says and what the judge made of it; it neither runs nor judges anything. Importing this
package costs nothing: pandas and matplotlib come with the modules that use them.
"""
