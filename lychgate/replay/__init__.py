"""`lychgate policy replay`: from recorded events to flips, a report, a metric and a record."""
