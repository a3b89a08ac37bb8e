"""With this file, pytest puts the folder of the project on `sys.path`."""
