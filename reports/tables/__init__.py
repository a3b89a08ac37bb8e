"""Tables of a history: rows, data frames, Parquet files."""
