"""Tables, a record a row: CSV, TSV and Parquet."""
