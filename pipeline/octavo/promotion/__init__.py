"""From scorecards and a policy to a decision, and the record of it. Imports evaluation and what lies below it."""
