"""The HTTP API: rules, quotas, questions, and what became of each request. Routes translate; they
do not decide."""
