"""The commands of `lychgate`, one module a topic. Each imports what it runs when it runs, so that help is quick."""
