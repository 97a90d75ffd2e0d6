//! NetworkPolicy: who can reach whom, and which rule decided.
