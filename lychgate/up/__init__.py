"""`lychgate up`: everything on one machine, and nothing left of it afterwards."""
