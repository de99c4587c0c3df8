//! Tests that need no real API server; those that compare with one are in rung `apiserver`.
