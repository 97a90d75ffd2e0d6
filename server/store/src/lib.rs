//! The only room that speaks SQL: accounts, attempts, verdicts, audit.
