"""Decision tables: who must be allowed what, written down, run against the policies, and held against mistakes.

    read > run > coverage | mutation > report

Files in (`document`, `read`), cases out (`case`); outcomes from the policies (`run`); which policies and clauses the
cases exercise (`coverage`) and which mistakes in policies they would notice (`mutation`); text and JUnit (`report`,
`junit`). All of it is pure; `lychgate policy test` reads the files and prints.
"""
