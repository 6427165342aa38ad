"""The matrix of roles and actions on paper: as a table, Markdown, CSV and JSON, and as it was at a revision."""
