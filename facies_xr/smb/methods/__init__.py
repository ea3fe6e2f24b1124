"""Balance methods: each a file, and a row of the table in ``named``."""
