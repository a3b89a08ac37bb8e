"""The options of each command. What a command runs is imported when it runs, so that `causim --help` is quick."""
