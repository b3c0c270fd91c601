"""Tables from CSV and Parquet files and DataFrames: reading, the kinds of the columns, and targets."""
