"""An audit of what a contract's models give away: canaries through the room's own code, on invented people.

Submitted records are never looked at: an audit of those would be an unpaid release. People are made up from the
domains that the contract declares (`modelling.invented`), and go through the statistic, the noise and the choice of
what is handed out that a room would use. What is measured is a lower bound on the privacy loss, beside the one charged.

Of a lookalike:

- `fit`: two worlds, with and without the record whose row is longest; the training part of the people.
- `scores`: the same for the histogram by which the model is evaluated, on the other part.
- `strata`: the same where those held out are counted by how much is known of them as well.
- `considered`: as `fit`, of a job that uses half of the columns and considers the others, and a pair of those used.
- `groups`: the same for the counts by which learners are compared, at the price they have where a job compares some.
- `one run`: thousands of canaries at once, each in or out by a coin; only where a model has enough coordinates.
- `parts`: of a record that trains no count of those held out changes, and of one that is held out nothing else; without
  noise, to the last bit.
- `audience`: with the noisy bytes held, other labels may change nothing of what is handed out, whether or not learners
  are compared, or columns considered, and with strata.
- `labels`: where the contract keeps ε for labels by randomised response, a lookalike of such labels at the same ε:
  how much likelier a record's labels are from a list that it is on; and its audience.

Of a model `fit`, of all its steps together, `scores`, `strata`, `parts`, and `release`: as `audience`. Of a completion
`fit` and `answers`, the counts of right and wrong ones, of a record that has every value of every wanted set; `parts`;
and `file`: with the noisy bytes held, what else is known, of whom and of how many, may change nothing of what is handed
out.

Not covered: that a room keys the split and the ties by its own secrets, of handles alone. Here both are made by the
room's functions, which are given no label; with what a room calls them is its own code's.

A bound that lies far below its charge proves nothing: another attack might do better. One above it proves a leak.
"""
