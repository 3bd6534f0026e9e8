"""What is in a release, for a person: one file a kind of job, named after it."""
