"""From files to rows: one row for every file, resumable, on one machine or on many."""
